"""Snakemake's logger `brief`: a run in two lines that are redrawn, or in a few lines of a file.

    PYTHONPATH=scripts snakemake --logger brief …

Snakemake finds the package by its name. Warnings and errors are told as they come, the rest is in
Snakemake's log file. The Snakefile tells what the jobs should take and what came out.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from ptft.runtime.failures import describe, is_told_again
from ptft.runtime.run_lines import Expected, RunLines

EVERY = 1.0
"""seconds between two drawings on a terminal"""
PARTS = 4
"""of the work: a file gets a line after each but the last"""
NEWS = ("Terminating processes", "Trying to restart", "Will exit after", "Shutting down")
"""how messages begin that say of a run in trouble what happens next"""
TOLD = ("At least one job did not complete", "Exiting because a job execution failed")
"""how Snakemake says that jobs have failed; each is told with its cause"""


class LogHandler(LogHandlerBase):
    """What Snakemake calls; all of it runs in one thread, but for the clock of a terminal."""

    stream: TextIO
    writes_to_stream = True
    writes_to_file = has_filter = has_formatter = needs_rulegraph = False

    def __post_init__(self) -> None:
        """Begin with nothing known; called by the base class."""
        self.stream = sys.stderr
        self.run = RunLines(time.monotonic())
        self.expected: Expected | None = None
        self.outcome: Callable[[], list[str]] = list
        self.log_files: list[str] = []
        self._failed: set[int] = set()
        self._part = self._drawn = 0
        self._over = self._nothing = False
        self._stop = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one of Snakemake's messages."""
        takers: dict[Any, Callable[[Any], None]] = {
            LogEvent.RUN_INFO: self._planned,
            LogEvent.JOB_INFO: self._started,
            LogEvent.JOB_FINISHED: self._finished,
            LogEvent.JOB_ERROR: self._failed_job,
        }
        event = getattr(record, "event", None)
        if event in takers:
            takers[event](record)
        elif record.getMessage() == NOTHING_TO_BE_DONE_MSG:
            self._nothing = True
        elif self._is_news(record):
            self._say(self.format(record))

    def close(self) -> None:
        """The last lines: what was done, what came out, where the log is."""
        self._stop.set()
        if not self._over:
            self._over = True
            self._say(*self._end())
        super().close()

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Whether a message is for the terminal: trouble, but not only that a job has failed."""
        message = record.getMessage()
        trouble = record.levelno >= logging.WARNING or message.startswith(NEWS)
        return trouble and not is_told_again(record) and not message.startswith(TOLD)

    def _planned(self, record: Any) -> None:
        if not self.common_settings.dryrun:
            self.run = RunLines(time.monotonic(), record.stats)

    def _started(self, record: Any) -> None:
        if self.common_settings.dryrun:
            return
        now = time.monotonic()
        if not self.run.seen:
            self._begin(now)
        known = record.wildcards or {}
        key = (record.rule_name, known.get("checkpoint"), known.get("arm"))
        message = record.rule_msg or record.rule_name
        self.run.start(record.jobid, record.rule_name, message, key, now)
        self._redraw()

    def _finished(self, record: Any) -> None:
        self.run.finish(record.job_id)
        self._failed.discard(record.job_id)
        part = int(PARTS * self.run.share(time.monotonic()))
        if self._part < part < PARTS and not self.stream.isatty():
            self._say(self.run.how_far(time.monotonic()))
        self._part = max(part, self._part)
        self._redraw()

    def _failed_job(self, record: Any) -> None:
        self.run.fail(record.jobid)
        self._failed.add(record.jobid)
        self._say(describe(record.__dict__, self.common_settings.show_failed_logs))

    def _begin(self, now: float) -> None:
        self.run.expected = self.expected
        if self.stream.isatty():
            threading.Thread(target=self._tick, daemon=True).start()
        else:
            self._say(self.run.how_far(now))

    def _end(self) -> list[str]:
        now, told = time.monotonic(), []
        if self.run.seen:
            how = f"{self.run.jobs_done}/{self.run.jobs} jobs in {self.run.took(now)}"
            failed = f"; {len(self._failed)} failed" if self._failed else ""
            told = [f"done: {how}" if self.run.complete else f"stopped: {how}{failed}"]
        if self._nothing or self.run.complete:
            told += [NOTHING_TO_BE_DONE_MSG] * self._nothing + self.outcome()
        return told + [f"log: {file}" for file in self.log_files if self.run.seen]

    def _tick(self) -> None:
        while not self._stop.wait(EVERY):
            with self.lock or contextlib.nullcontext():
                self._redraw()

    def _redraw(self) -> None:
        """The two lines, over those that were there; nothing into a file."""
        if self.stream.isatty() and self.run.seen and not self._over:
            now = time.monotonic()
            self._draw(f"{self.run.bar(now)} {self.run.how_far(now)}", f"  {self.run.at_work(now)}")

    def _say(self, *lines: str) -> None:
        """Lines that stay; what is redrawn goes on below them."""
        self._draw()
        print(*lines, sep="\n", end="\n" if lines else "", file=self.stream, flush=True)
        self._redraw()

    def _draw(self, *lines: str) -> None:
        """Replace what was drawn; a line that is too long is cut, or it could not be replaced."""
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\x1b[1A\x1b[2K" * self._drawn)
        self.stream.writelines(f"{line[:width]}\n" for line in lines)
        self.stream.flush()
        self._drawn = len(lines)
