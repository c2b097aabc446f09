"""Pages of the scores so far, made while a study runs, for a small share of its CPU time."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from ptft.errors import ConfigFiles, read_mapping
from ptft.runtime.failures import cause

if TYPE_CHECKING:
    from ptft.study.grid import Grid

PROGRAM = Path(__file__).parents[1] / "preview_study.py"
FIRST = 10.0
"""CPU seconds that a preview is taken for until one was made"""
NICE = 5
"""jobs go first, but the page comes while they run"""


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of Snakemake's command line and of a profile: ``logger-ptft-previews``."""

    previews: float = field(
        default=0.0,
        metadata={
            "help": "Share of a run's CPU time that previews of its report may take; 0: none."
        },
    )


@dataclass
class Previews:
    """The previews of a run, one at a time; one that fails is told and is the last.

    Attributes:
        share: what they may cost of the CPU time that the run has.
        tell: takes a line for the terminal, in a thread of its own.
        spent: CPU seconds of those that were made.
    """

    share: float
    tell: Callable[[str], None]
    spent: float = 0.0
    _last: float = FIRST
    _process: subprocess.Popen | None = None
    _over: bool = False

    def can_show(self, grid: "Grid", expected: float) -> bool:
        """Whether a study is long enough for one (``expected`` CPU seconds), and all in a file."""
        if expected * self.share < FIRST or len(grid.files) != 1:
            return False
        content = read_mapping(grid.files[0])
        return isinstance(grid.files, ConfigFiles) and content == grid.files.config

    def start(self, grid: "Grid", provided: float) -> None:
        """Begin a preview if none is being made and it is cheap beside ``provided`` CPU seconds.

        The first is not weighed: who waits for it sees nothing yet.
        """
        affordable = not self.spent or self.spent + self._last <= self.share * provided
        if self._process or self._over or not affordable:
            return
        program = [sys.executable, str(PROGRAM), "--configfile", str(grid.files[0])]
        self._process = subprocess.Popen(
            ["nice", "-n", str(NICE), *program],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._finish, args=[self._process], daemon=True).start()

    def _finish(self, process: subprocess.Popen) -> None:
        lines = [line.strip() for line in process.stdout or () if line.strip()]
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self._last = used.ru_utime + used.ru_stime
        self.spent += self._last
        self._process = None
        if self._over:
            return
        self._over = process.returncode != 0
        told = (cause(lines) if self._over else None) or (lines or [""])[-1]
        self.tell(f"{'no preview' if self._over else 'preview'}: {told}")

    def stop(self) -> None:
        """No more of them; the one that is being made is ended."""
        self._over = True
        if process := self._process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
