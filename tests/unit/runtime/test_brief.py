"""`--logger brief`: Snakemake's events in, the lines of a terminal or of a file out."""

import io
import logging
import time
from types import SimpleNamespace

import pytest
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_brief as brief
from ptft.runtime.run_lines import Expected, RunLines

SETTINGS = SimpleNamespace(dryrun=False, show_failed_logs=True, quiet=None)
STATS = {"finetune_model": 2, "evaluate_model": 1, "make_report": 1, "all": 1, "total": 5}
TUNE = ("finetune_model", "step4", "full.nli.s0")
EXPECTED = Expected({TUNE: 60.0, ("make_report", None, None): 40.0}, total=220.0, lanes=2)


class Screen(io.StringIO):
    """A terminal, as far as a handler can see."""

    def isatty(self):
        return True


class Told:
    """A handler that is told Snakemake's events, with a clock that is set."""

    def __init__(self, monkeypatch, stream, settings=SETTINGS):
        self.now = 0.0
        monkeypatch.setattr(brief.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(brief.LogHandler, "_tick", lambda handler: None)
        self.handler = brief.LogHandler(settings, None)
        self.handler.stream = stream

    def __call__(self, event=None, message=None, level=logging.INFO, **fields):
        record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
        record.__dict__.update(fields | {"event": event})
        self.handler.handle(record)

    def start(self, job, rule, message, **wildcards):
        fields = {"jobid": job, "rule_name": rule, "rule_msg": message, "wildcards": wildcards}
        self(LogEvent.JOB_INFO, **fields)

    def finish(self, job):
        self(LogEvent.JOB_FINISHED, job_id=job)

    @property
    def text(self):
        return self.handler.stream.getvalue()


@pytest.fixture
def told(monkeypatch):
    return Told(monkeypatch, io.StringIO())


def run(told):
    """Four jobs, two of them at a time."""
    told.handler.expected = EXPECTED
    told.handler.outcome = lambda: ["NLI rises.", "report: results/tiny/report.html"]
    told.handler.log_files = ["run.log"]
    told(LogEvent.RUN_INFO, stats=STATS)
    told(message="Select jobs to execute...")
    told.start(1, "finetune_model", "Fine-tune step4 on nli", checkpoint="step4", arm=TUNE[2])
    told.now = 30.0
    told.start(2, "finetune_model", "Fine-tune step4 on nli", checkpoint="step4", arm=TUNE[2])
    told.now = 75.0
    told.finish(1)
    told.now = 100.0
    told.finish(2)
    told.start(3, "evaluate_model", "Evaluate step4", checkpoint="step4", arm="base")
    told.finish(3)
    told.start(4, "make_report", "Put the report together")
    told.finish(4)
    told.start(0, "all", None)
    told.finish(0)
    told.now = 130.0
    told.handler.close()


def test_a_file_gets_a_line_after_each_quarter_and_what_came_out(told):
    run(told)
    # 105 of 220 seconds of work are done after 75: at (105 + 2 * 60) / (75 + 60) seconds of work
    # a second, the other 115 take 69. After 100 s 120 are done, and 100 take 67.
    assert told.text.splitlines() == [
        "0/4 jobs · tuned 0/2 · scored 0/1 · 0:00, about 1:50 left",
        "1/4 jobs · tuned 1/2 · scored 0/1 · 1:15, about 1:10 left",
        "2/4 jobs · tuned 2/2 · scored 0/1 · 1:40, about 1:10 left",
        "done: 4/4 jobs in 2:10",
        "NLI rises.",
        "report: results/tiny/report.html",
        "log: run.log",
    ]


def test_a_terminal_shows_two_lines_in_the_place_of_those_before(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    told = Told(monkeypatch, Screen())
    run(told)
    again = "\x1b[1A\x1b[2K" * 2
    drawn = told.text.split(again)
    assert drawn[0] == (
        "░░░░░░░░░░░░ 0/4 jobs · tuned 0/2 · scored 0/1 · 0:00, about 1:50 left\n"
        "  now: Fine-tune step4 on nli (0:00)\n"
    )
    assert drawn[1] == (
        "█░░░░░░░░░░░ 0/4 jobs · tuned 0/2 · scored 0/1 · 0:30, about 1:50 left\n"
        "  now: Fine-tune step4 on nli (0:30) · Fine-tune step4 on nli (0:00)\n"
    )
    assert drawn[-1].splitlines()[0] == "done: 4/4 jobs in 2:10"
    assert all(part.count("\n") == 2 for part in drawn[:-1])


def test_lines_are_no_wider_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    told = Told(monkeypatch, Screen())
    told(LogEvent.RUN_INFO, stats=STATS)
    told.start(1, "finetune_model", "Fine-tune step4 on nli")
    assert told.text.splitlines() == ["░░░░░░░░░░░░ 0/4 jo", "  now: Fine-tune st"]


def test_a_failure_is_told_by_its_cause_and_once(told, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("error: row 3: no column 'x'\n")
    told.handler.log_files = ["run.log"]
    told.handler.outcome = lambda: ["an old report"]
    told(LogEvent.RUN_INFO, stats=STATS)
    told.start(1, "finetune_model", "Fine-tune step4 on nli")
    told(
        LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, jobid=1, rule_name="finetune_model",
        rule_msg=None, shellcmd="python x.py", log=[str(log)],
    )  # fmt: skip
    again = 'RuleException:\nCalledProcessError in file "Snakefile", line 1:'
    told(LogEvent.ERROR, again, logging.ERROR)
    told(None, "Exiting because a job execution failed. Look above", logging.ERROR)
    told(None, "Will exit after finishing currently running jobs (scheduler).")
    told(LogEvent.ERROR, "At least one job did not complete successfully.", logging.ERROR)
    told.now = 5.0
    told.handler.close()
    assert told.text.splitlines() == [
        "0/4 jobs · tuned 0/2 · scored 0/1 · 0:00",
        "Error: row 3: no column 'x'",
        "    rule: finetune_model, job 1",
        "    command: python x.py",
        f"    log: {log}",
        "Will exit after finishing currently running jobs (scheduler).",
        "stopped: 0/4 jobs in 0:05; 1 failed",
        "log: run.log",
    ]


def test_other_errors_and_warnings_are_shown_and_no_result_is_claimed(told):
    told.handler.outcome = lambda: ["an old report"]
    told(None, "Building DAG of jobs...")
    told(None, "the clock is wrong", logging.WARNING)
    told(LogEvent.ERROR, "MissingInputException: data.csv", logging.ERROR)
    told.handler.close()
    assert told.text == "the clock is wrong\nMissingInputException: data.csv\n"


def test_where_nothing_is_to_do_the_result_is_there(told):
    told.handler.outcome = lambda: ["report: report.html"]
    told(None, NOTHING_TO_BE_DONE_MSG)
    told.handler.close()
    assert told.text == f"{NOTHING_TO_BE_DONE_MSG}\nreport: report.html\n"


def test_a_dry_run_leaves_the_plan_to_its_printer(monkeypatch):
    settings = SimpleNamespace(**SETTINGS.__dict__ | {"dryrun": True})
    told = Told(monkeypatch, io.StringIO(), settings)
    told(LogEvent.RUN_INFO, stats=STATS)
    told.start(1, "finetune_model", "Fine-tune step4 on nli")
    told.handler.close()
    assert told.text == ""


def test_a_job_that_failed_and_ran_again_counts_once():
    lines = RunLines(time.monotonic(), STATS)
    lines.start(1, "finetune_model", "tune", TUNE, 0.0)
    lines.fail(1)
    lines.start(1, "finetune_model", "tune", TUNE, 5.0)
    lines.finish(1)
    assert (lines.jobs_done, lines.running, lines.complete) == (1, {}, False)
