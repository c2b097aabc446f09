"""Progress of a long job: a bar on a terminal, a plain line now and then in a file.

tqdm draws over its own line. In a log that makes one line of carriage returns, in which the
messages between them are lost; and a log is read at its end, to learn what is left to do.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

EVERY = 30.0
"""Seconds between two lines in a file, at least."""


class ProgressBar(Protocol):
    """Interface of a job's progress: tqdm's bar, or `Lines`."""

    n: int

    def update(self, count: int = 1) -> object:
        """Add to what is done."""

    def set_postfix_str(self, part: str) -> None:
        """Which part of the job comes next."""


@contextlib.contextmanager
def progress(
    job: str, total: int, unit: str, done: int = 0, shown: bool = True
) -> Iterator[ProgressBar]:
    """Show a job's progress on stderr.

    Args:
        job: what is being done, in a word or two.
        total: how much there is to do.
        unit: of what, in the plural; ``B`` for bytes.
        done: how much of it was there before.
        shown: whether anything is told; of several processes at one job only one should.
    """
    if shown and sys.stderr.isatty():
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        settings = {"unit": "B", "unit_scale": True} if unit == "B" else {"unit": f" {unit}"}
        with tqdm(desc=job, total=total, initial=done, **settings) as bar, logging_redirect_tqdm():
            yield bar
        return
    lines = Lines(job, total, unit, done, shown)
    try:
        yield lines
    finally:
        lines.close()


class Lines:
    """Lines instead of a bar, for a file: ``evaluate: 40/160 examples, 0:35 left``."""

    def __init__(self, job: str, total: int, unit: str, done: int = 0, shown: bool = True) -> None:
        self.job, self.total, self.unit, self.n, self.shown = job, total, unit, done, shown
        self._before = done
        self._begun = self._told = time.monotonic()
        self._part = ""

    def update(self, count: int = 1) -> None:
        """Add to what is done."""
        self.n += count
        if time.monotonic() - self._told >= EVERY:
            self._tell()

    def set_postfix_str(self, part: str) -> None:
        """Which part of the job comes next."""
        self._part = part

    def close(self) -> None:
        """The last line; of a job that was broken off, it says what is left."""
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        if self.shown:
            print(self._line(self._told - self._begun), file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        if self.unit == "B":
            amount = f"{self.n / 1e6:.1f}/{self.total / 1e6:.1f} MB"
        else:
            amount = f"{self.n}/{self.total} {self.unit}"
        if self.n >= self.total:
            return f"{self.job}: {amount}, done in {clock(seconds)}"
        done, part = self.n - self._before, f" ({self._part})" if self._part else ""
        left = clock((self.total - self.n) * seconds / done) if done > 0 else "unknown time"
        return f"{self.job}: {amount}, {left} left{part}"


def clock(seconds: float) -> str:
    """``0:35``, ``12:07`` or ``1:02:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
