"""The logger plugin: Snakemake's events in, the lines of a terminal or of a file out."""

import io
import logging
import sys
import time
from types import SimpleNamespace

import pytest
import yaml
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from tests.waiting import wait_until

import snakemake_logger_plugin_ptft as plugin
from ptft.errors import ConfigFiles
from ptft.paths import Results
from ptft.planning.jobs import Expected
from ptft.study import read_study
from snakemake_logger_plugin_ptft import previews

SETTINGS = SimpleNamespace(
    dryrun=False, show_failed_logs=True, quiet=None, stdout=False, printshellcmds=False,
    debug_dag=False,
)  # fmt: skip
STATS = {"finetune_model": 2, "evaluate_model": 1, "make_report": 1, "all": 1, "total": 5}
TUNE = ("finetune_model", "step4", "full.nli.s0")
EXPECTED = Expected(
    {"finetune_model": 2, "evaluate_model": 1, "make_report": 1},
    {"finetune_model": 60.0, "evaluate_model": 60.0, "make_report": 40.0},
    {TUNE: 60.0, ("evaluate_model", "step4", "base"): 60.0, ("make_report", None, None): 40.0},
    lanes=2,
)


class Screen(io.StringIO):
    """A terminal, as far as a handler can see."""

    def isatty(self):
        return True


class Told:
    """A handler that is told Snakemake's events, with a clock that is set."""

    def __init__(self, monkeypatch, stream, settings=SETTINGS, own=None):
        self.now = 0.0
        monkeypatch.setattr(plugin.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(plugin.LogHandler, "_tick", lambda handler: None)
        self.handler = plugin.LogHandler(settings, own)
        self.handler.stream = stream

    def __call__(self, event=None, message=None, level=logging.INFO, **fields):
        record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
        record.__dict__.update(fields | {"event": event})
        self.handler.handle(record)

    def start(self, job, rule, message, **wildcards):
        self(
            LogEvent.JOB_INFO, message, jobid=job, rule_name=rule, rule_msg=message,
            wildcards=wildcards, log=[], input=[], output=[], reason="", shellcmd="x",
        )  # fmt: skip

    def finish(self, job):
        self(LogEvent.JOB_FINISHED, job_id=job)

    @property
    def text(self):
        return self.handler.stream.getvalue()


@pytest.fixture(autouse=True)
def announced(monkeypatch, tmp_path):
    """A study whose report says a sentence, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "results/tiny/report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    monkeypatch.setattr(plugin, "_announced", plugin.Announced())
    monkeypatch.setattr(sys, "platform", "linux")
    plugin.announce(Results("tiny"), answers=lambda: ["NLI rises."])


@pytest.fixture
def told(monkeypatch):
    return Told(monkeypatch, io.StringIO())


OPEN = "report: results/tiny/report.html (`xdg-open results/tiny/report.html`)"
LOG = "Complete log(s): run.log"


def begin(told):
    """A run of known seconds of work begins."""
    told(LogEvent.WORKFLOW_STARTED)
    told(LogEvent.RESOURCES_INFO, cores=2)
    told(LogEvent.RUN_INFO, stats=STATS)
    told.handler.run.expected = EXPECTED


def run(told):
    """Four jobs, two of them at a time."""
    begin(told)
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
    told(message=LOG)
    told.now = 130.0
    told.handler.close()


def test_a_file_gets_plain_lines_and_what_came_out(told):
    run(told)
    assert told.text.splitlines() == [
        "0/4 jobs · tuned 0/2 · scored 0/1 · 0:00, about 1:50 left",
        "done: 4/4 jobs in 2:10",
        "NLI rises.",
        OPEN,
        "log: run.log",
    ]


def test_a_terminal_shows_two_lines_in_the_place_of_those_before(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    told = Told(monkeypatch, Screen())
    run(told)
    drawn = told.text.split("\x1b[1A\x1b[2K" * 2)
    # 105 of 220 seconds of work are done after 75: at (105 + 2 * 60) / (75 + 60) seconds of work
    # a second, the other 115 take 69.
    assert drawn[0] == (
        "░░░░░░░░░░░░ 0/4 jobs · tuned 0/2 · scored 0/1 · 0:00, about 1:50 left\n"
        "  now: Fine-tune step4 on nli (0:00)\n"
    )
    assert drawn[2].startswith("█████░░░░░░░ 1/4 jobs · tuned 1/2 · scored 0/1 · 1:15, about 1:10")
    assert "  now: Fine-tune step4 on nli (0:30) · Fine-tune step4 on nli (0:00)\n" in drawn[1]
    assert drawn[-1].splitlines()[0] == "done: 4/4 jobs in 2:10"
    assert all(part.count("\n") == 2 for part in drawn[:-1])


def test_a_quiet_run_that_ends_early_is_not_done(monkeypatch):
    settings = SimpleNamespace(**SETTINGS.__dict__ | {"quiet": {Quietness.PROGRESS}})
    for trouble in ("failed", "stopped"):
        told = Told(monkeypatch, io.StringIO(), settings)
        begin(told)
        for job in (1, 2, 3, 4):
            told.start(job, "finetune_model", "Fine-tune")
        if trouble == "stopped":
            told(None, "Terminating processes on user request", logging.WARNING)
        else:
            error = {"rule_name": "finetune_model", "shellcmd": "x", "output": [], "wildcards": {}}
            told(LogEvent.JOB_ERROR, "x", logging.ERROR, jobid=4, log=[], **error)
        told.now = 5.0
        told.handler.close()
        assert "stopped: after 0:05" in told.text and "done" not in told.text


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_silent_for_long(monkeypatch, terminal):
    """While one job runs, and before Snakemake knows what there is to do."""
    monkeypatch.setattr(plugin, "DRAWN", 0.01)
    monkeypatch.setattr(plugin, "READ", 0.01)
    monkeypatch.setattr(plugin, "WRITTEN", 0.02)
    handler = plugin.LogHandler(SETTINGS, None)
    handler.stream = Screen() if terminal else io.StringIO()

    def lines(count):
        deadline = time.monotonic() + 20
        while handler.stream.getvalue().count("looking what there is to do") < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    lines(2)
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "started", None, None)
    record.__dict__["event"] = LogEvent.WORKFLOW_STARTED
    handler.handle(record)
    lines(5)
    handler.close()


def test_other_errors_and_warnings_are_shown_and_no_result_is_claimed(told):
    told(None, "Building DAG of jobs...")
    told(None, "the clock is wrong", logging.WARNING)
    told(LogEvent.ERROR, "MissingInputException: data.csv", logging.ERROR)
    told.handler.close()
    assert told.text == "the clock is wrong\nMissingInputException: data.csv\n"


def test_where_nothing_is_to_do_the_page_is_named(told):
    told(None, NOTHING_TO_BE_DONE_MSG)
    told.handler.close()
    assert told.text == f"{NOTHING_TO_BE_DONE_MSG}\n{OPEN}\n"


@pytest.fixture
def dry(monkeypatch, grid):
    """A handler in a dry run of a study of two checkpoints."""
    plugin.announce(Results(grid.name), grid)

    def start(**settings):
        settings = SETTINGS.__dict__ | {"dryrun": True} | settings
        return Told(monkeypatch, io.StringIO(), SimpleNamespace(**settings))

    return start


def plan(told):
    """Two jobs are planned; what is told."""
    told(message="Building DAG of jobs...")
    told(LogEvent.RUN_INFO, "Job stats: 2", stats=STATS)
    told.start(1, "finetune_model", "Fine-tune it", checkpoint="step4", arm="full.pocket_nli.s0")
    told.start(2, "evaluate_model", "Score it", checkpoint="step4", arm="full.pocket_nli.s0")
    told.handler.close()
    return told.text


def test_a_dry_run_lists_jobs_as_snakemake_does_and_ends_with_the_plan(dry):
    shown = plan(dry())
    assert shown.startswith("Building DAG of jobs...\nJob stats: 2\n\nFine-tune it\n\nScore it\n")
    listed = shown.split("Plan of cluster: what this call would run\n")[1].splitlines()
    assert [line.split()[:3] for line in listed[2:5]] == [
        ["fine-tune", "4", "1"], ["evaluate", "6", "1"], ["cells", "12", "2"],
    ]  # fmt: skip


@pytest.fixture
def previewed(monkeypatch, repository, tmp_path):
    """A run of a study that is announced, with previews made by a stand-in of the program."""
    file = repository / "tests/studies/cluster.yaml"
    content = yaml.safe_load(file.read_text())
    grid = read_study(content, ConfigFiles([file], content), repository / "config")
    plugin.announce(grid.results, grid)
    program = tmp_path / "preview_study.py"
    monkeypatch.setattr(previews, "PROGRAM", program)
    monkeypatch.setattr("ptft.planning.jobs.expected_run", lambda *_: EXPECTED)

    def run(code, share, step=100.0):
        program.write_text(code)
        screen = io.StringIO()
        settings = plugin.LogHandlerSettings(previews=share)
        tell = Told(monkeypatch, screen, own=settings)
        tell(LogEvent.RUN_INFO, stats=STATS | {"evaluate_model": 3, "total": 7})
        for job in range(3):
            tell.now += step
            tell.start(job, "evaluate_model", "Evaluate", checkpoint="step4", arm="base")
            tell.finish(job)
            wait_until(lambda: tell.handler._previews._process is None, "a preview")
        return tell

    return run


def test_a_preview_is_made_after_the_first_scores_and_while_it_is_cheap(previewed):
    """The run takes 220 s, a first preview 10: none at 4 %, one at 5 %, more as time passes."""
    code = "import sys; print('4 of 12 cells:', *sys.argv[1:])"
    assert "preview" not in previewed(code, 0.04).text
    assert previewed(code, 0.05, step=0.01).text.count("\npreview: 4 of 12") == 1
    told = previewed(code, 1.0)
    assert told.text.count("\npreview: 4 of 12 cells: --configfile ") == 3
    assert "results/cluster/preview/report.html" in told.text


def test_a_preview_that_fails_is_one_line_and_the_last(previewed):
    told = previewed("raise ValueError('broken')", 1.0)
    assert told.text.count("no preview: ValueError: broken\n") == 1
    assert told.handler.run.jobs_done == 3


def test_a_process_of_a_single_job_makes_no_preview(previewed):
    announced = plugin._announced
    plugin.announce(announced.results, announced.grid, main=False)
    assert "preview" not in previewed("print('made')", 1.0).text
