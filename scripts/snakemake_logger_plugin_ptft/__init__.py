"""Lines of a run on the terminal: Snakemake's logger `ptft`, which profiles/default asks for.

A failed job is told once, its cause first. A run is two lines that are drawn again each second, in
a file a line at least every half minute; it ends with the study's answers. A dry run lists its jobs
as Snakemake does and ends with the plan, added up from the events of these jobs, so it holds what
will run and nothing else. All else is in Snakemake's log file.

Snakemake finds the package by its name. The Snakefile hands it the study in memory (``announce``):
two runs in one folder know nothing of each other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from ptft.runtime.failures import describe, log_lines
from ptft.runtime.slurm_plugin import correct_status_queries
from snakemake_logger_plugin_ptft.lines import RunLines
from snakemake_logger_plugin_ptft.previews import LogHandlerSettings, Previews
from snakemake_logger_plugin_ptft.refusals import mended

__all__ = ["LogHandler", "LogHandlerSettings", "announce"]

if TYPE_CHECKING:
    from ptft.paths import Results
    from ptft.planning.gpus import Gpu
    from ptft.study.grid import Grid

DRAWN, READ, WRITTEN = 1.0, 3.0, 45.0
"""seconds between two drawings on a terminal, and between lines while the Snakefile is read; after
which a file gets a line, at most"""
NOTHING, LOG_FILES = "Nothing to be done", "Complete log(s): "
"""how Snakemake's messages begin where all is made, and where its log is"""
NEWS = ("Terminating processes", "Trying to restart", "Will exit after", "Shutting down")
"""how messages begin that say of a run in trouble what happens next"""
TOLD_LOGS = ("check_gpu",)
"""rules whose log is what they are for"""
TOLD = (
    "At least one job did not complete",
    "Exiting because a job execution failed",
    "RuleException:\nCalledProcessError in file ",
)
"""what Snakemake says when jobs have failed; each is told with its cause"""


@dataclass(frozen=True)
class Announced:
    """The study of this process.

    Attributes:
        results: paths of the study; None before it was read.
        grid: None where nothing is trained or scored.
        gpus: models that its jobs may ask for.
        answers: gives what the report says, in a few lines.
        main: whether this is the main process, not that of a Slurm job.
    """

    results: Results | None = None
    grid: Grid | None = None
    gpus: tuple[Gpu, ...] = ()
    answers: Callable[[], Sequence[str]] = tuple
    main: bool = True


_announced = Announced()


def announce(
    results: Results,
    grid: Grid | None = None,
    gpus: tuple[Gpu, ...] = (),
    answers: Callable[[], Sequence[str]] = tuple,
    main: bool = True,
) -> None:
    """Say which study this process works on; the Snakefile calls it once."""
    global _announced
    _announced = Announced(results, grid, gpus, answers, main)


class LogHandler(LogHandlerBase):
    """Snakemake's side of the plugin; all of it runs in one thread, but for the clock."""

    stream: TextIO
    writes_to_stream = has_filter = True
    writes_to_file = has_formatter = needs_rulegraph = False

    def __post_init__(self) -> None:
        """Begin with nothing known; called by the base class."""
        self.stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self.quiet = {choice.name for choice in self.common_settings.quiet or ()}
        self.run = RunLines(time.monotonic())
        self._cores = self._nodes = 0
        self._jobs: list[logging.LogRecord] | None = None
        self._failed: set[int] = set()
        self._drawn, self._written = 0, time.monotonic()
        self._over, self._cut, self._nothing = False, False, ""
        self._logs: list[str] = []
        self._running = False
        self._previews = Previews(getattr(self.settings, "previews", 0.0), self._tell)
        self._previewed = False
        self._stop = threading.Event()
        self._shown = not self.common_settings.dryrun and not self.quiet & {"ALL", "PROGRESS"}
        if self._shown:  # what comes next may take long on a busy machine
            threading.Thread(target=self._tick, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one of Snakemake's messages; a mistake in here must not end the thread of all."""
        try:
            self._take(record)
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(NOTHING):
            self._nothing = record.getMessage()
        if record.getMessage().startswith(LOG_FILES):
            self._logs = [f"log: {record.getMessage().removeprefix(LOG_FILES)}"]
        if self.common_settings.dryrun:
            self._planned(record)
            return
        takers: dict[Any, Callable[[Any], None]] = {
            LogEvent.WORKFLOW_STARTED: self._started,
            LogEvent.RESOURCES_INFO: self._provided,
            LogEvent.RUN_INFO: self._chosen,
            LogEvent.JOB_INFO: self._job_started,
            LogEvent.JOB_FINISHED: self._job_finished,
            LogEvent.JOB_ERROR: self._job_failed,
        }
        event = getattr(record, "event", None)
        if event in takers:
            takers[event](record)
        elif self._is_news(record):
            self._cut = self._cut or record.getMessage().startswith(NEWS[0])
            self._say(self._text(record))

    def close(self) -> None:
        """The last lines: the plan, or what was done and what came out."""
        self._stop.set()
        self._previews.stop()
        if not self._over:
            self._over = True
            try:  # Snakemake would pass over an exception without a word
                self._say(*(self._plan() if self.common_settings.dryrun else self._end()))
            except Exception:
                traceback.print_exc()
        super().close()

    # A dry run.

    def _planned(self, record: Any) -> None:
        """Keep the job for the plan; say what Snakemake would say."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._jobs = self._jobs or []
        elif event == LogEvent.JOB_INFO and self._jobs is not None:
            self._jobs.append(record)
        of: dict[Any, str] = {
            LogEvent.JOB_INFO: "RULES",
            LogEvent.RUN_INFO: "PROGRESS",
            LogEvent.SHELLCMD: "RULES",
        }
        hidden = {of.get(event), getattr(getattr(record, "quietness", None), "name", None)}
        asked: dict[Any, bool] = {
            LogEvent.SHELLCMD: self.common_settings.printshellcmds,
            LogEvent.DEBUG_DAG: self.common_settings.debug_dag,
        }
        if hidden & self.quiet or not asked.get(event, True):
            return
        self._say(*[""] * (event == LogEvent.JOB_INFO), self._text(record))

    def _plan(self) -> list[str]:
        """The plan; none where Snakemake says nothing of the jobs (``-n -q``)."""
        grid = _announced.grid
        if grid is None or not (self._jobs or self._nothing):
            return []
        from ptft.planning.jobs import planned_jobs
        from ptft.planning.plan import Plan

        jobs = planned_jobs(grid, self._jobs or [])
        return [str(Plan(grid, jobs, os.cpu_count() or 0, _announced.gpus))]

    # A run.

    def _started(self, _: Any) -> None:
        """From now on Snakemake prints nothing that a drawing could erase."""
        self._running = True

    def _provided(self, record: Any) -> None:
        self._cores = getattr(record, "cores", None) or self._cores
        self._nodes = getattr(record, "nodes", None) or self._nodes
        if self._nodes:
            correct_status_queries()

    def _chosen(self, record: Any) -> None:
        self.run = RunLines(time.monotonic(), record.stats)
        if _announced.grid is not None:
            from ptft.planning.jobs import expected_run

            self.run.expected = expected_run(
                _announced.grid, record.stats, self._cores, self._nodes, _announced.gpus
            )
            self._previewed = (
                self._shown
                and _announced.main
                and "evaluate_model" in record.stats
                and self._previews.can_show(_announced.grid, self.run.expected.total)
            )
            if self._previewed:
                self._say(
                    f"preview, from the first scores on: {_announced.grid.results.preview_page}"
                )

    def _job_started(self, record: Any) -> None:
        now, first = time.monotonic(), not self.run.seen
        known = record.wildcards or {}
        key = (record.rule_name, known.get("checkpoint"), known.get("arm"))
        message = record.rule_msg or record.rule_name
        self.run.start(record.jobid, message, key, now, record.log)
        if first and self._shown and not self.stream.isatty():
            self._say(self.run.how_far(now))
        # Under `-q` Snakemake does not say which have ended: those that began, if none fails.
        if "PROGRESS" in self.quiet:
            self.run.finish(record.jobid)
        self._redraw()

    def _job_finished(self, record: Any) -> None:
        job = self.run.running.get(record.job_id)
        if job and job.key[0] in TOLD_LOGS:
            self._say(*(line for name in job.logs for line in log_lines(Path(name))))
        scored = job is not None and job.key[0] == "evaluate_model"
        self.run.finish(record.job_id)
        if scored and self._previewed and _announced.grid and not self.run.complete:
            elapsed = time.monotonic() - self.run.begun
            self._previews.start(_announced.grid, elapsed * max(1, self._cores))
        self._failed.discard(record.job_id)
        self._redraw()

    def _job_failed(self, record: Any) -> None:
        self.run.fail(record.jobid)
        self._failed.add(record.jobid)
        self._say(describe(record.__dict__, self.common_settings.show_failed_logs))

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Whether a message is for the terminal: trouble, but not only that a job has failed."""
        message, event = record.getMessage(), getattr(record, "event", None)
        if event == LogEvent.SHELLCMD:
            return self.common_settings.printshellcmds
        trouble = record.levelno >= logging.WARNING or message.startswith(NEWS)
        told = any(words in message for words in TOLD)
        return (trouble or record.levelno < logging.INFO) and not told

    def _end(self) -> list[str]:
        """How the run ended; then what came out, or what is left."""
        now, told = time.monotonic(), []
        if "ALL" in self.quiet:
            return []
        complete = self.run.complete and not self._failed and not self._cut
        if self.run.seen:
            counts = f"{self.run.jobs_done}/{self.run.jobs} jobs in {self.run.took(now)}"
            known = complete or "PROGRESS" not in self.quiet
            how = counts if known else f"after {self.run.took(now)}"
            failed = f"; {len(self._failed)} failed" if self._failed else ""
            told = [f"done: {how}" if complete else f"stopped: {how}{failed}"]
        if self._nothing or complete:
            # Other targets do not make the report: it may be older than what was made.
            answers = _announced.answers() if "all" in self.run.totals else ()
            told += [*[self._nothing] * bool(self._nothing), *answers, *self._page()]
        elif self.run.seen and _announced.grid is not None:
            from ptft.tools.status import what_is_left

            told.append(what_is_left(_announced.grid))
        return [*told, *self._logs]

    def _page(self) -> list[str]:
        """Where the report is, and how to open it."""
        page = _announced.results.report if _announced.results else ""
        opener = "open" if sys.platform == "darwin" else "xdg-open"
        return [f"report: {page} (`{opener} {page}`)"] if os.path.exists(page) else []

    # The terminal, or the file.

    def _text(self, record: logging.LogRecord) -> str:
        """Snakemake's own words, and the way out where we know it."""
        grid, event = _announced.grid, getattr(record, "event", None)
        text = self.format(record)
        return mended(text, grid) if event == LogEvent.ERROR else text

    def _tick(self) -> None:
        while not self._stop.wait(DRAWN):
            with self.lock or contextlib.nullcontext():
                now, terminal = time.monotonic(), self.stream.isatty()
                if terminal and self._running:
                    self._redraw()
                elif now - self._written >= (READ if terminal else WRITTEN) and not self._over:
                    self._say(*filter(None, [self.run.how_far(now), self.run.at_work(now)]))

    def _redraw(self) -> None:
        """The two lines, over those that were there; nothing into a file."""
        if self.stream.isatty() and self._running and self._shown and not self._over:
            now = time.monotonic()
            self._draw(f"{self.run.bar(now)} {self.run.how_far(now)}", f"  {self.run.at_work(now)}")

    def _say(self, *lines: str) -> None:
        """Lines that stay; what is redrawn goes on below them."""
        if not lines or lines[-1] in ("", "None"):  # so Snakemake words a message without text
            return
        self._draw()
        print(*lines, sep="\n", file=self.stream, flush=True)
        self._written = time.monotonic()
        self._redraw()

    def _tell(self, line: str) -> None:
        """Say a line from another thread."""
        with self.lock or contextlib.nullcontext():
            self._say(line)

    def _draw(self, *lines: str) -> None:
        """Replace what was drawn; a line that is too long is cut, or it could not be replaced."""
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\x1b[1A\x1b[2K" * self._drawn)
        self.stream.writelines(f"{line[:width]}\n" for line in lines)
        self.stream.flush()
        self._drawn = len(lines)
