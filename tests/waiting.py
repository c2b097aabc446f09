"""Waiting for something, and stopping a program right where a test wants to strike it."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import TypeVar

import psutil

T = TypeVar("T")

PATIENCE = 3600.0
"""seconds after which a test gives up: only a failure takes as long, however busy the machine"""


def wait_until(condition: Callable[[], T], what: str, process: Popen | None = None) -> T:
    """Wait for ``condition()`` to be true; its value.

    Args:
        process: without this one it cannot become true.

    Raises:
        TimeoutError: it did not become true.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended = process is not None and process.poll() is not None
        value = condition()
        if value:
            return value
        if ended:
            raise TimeoutError(f"the process ended with {process.returncode} before {what}")
        time.sleep(0.05)
    raise TimeoutError(f"waited {PATIENCE:.0f} s in vain for {what}")


def hooked(**variables: str) -> dict[str, str]:
    """An environment in which Python reads `stopping/sitecustomize.py`, and what is asked of it."""
    paths = [str(Path(__file__).parent / "stopping"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | variables


@dataclass
class Stops:
    """Programs that stop themselves (SIGSTOP) in their middle, by ``stopping/sitecustomize.py``.

    Polling for a file and then killing hits a quick program too late and a slow test never.
    """

    folder: Path
    """where stopped programs are noted"""
    files: str
    """pattern of the files that they put in place"""
    nth: int = 1
    """the how manieth such file of a program stops it"""
    times: int = 1
    """how often a path stops a program, one after another"""
    _handled: set[Path] = field(default_factory=set)

    def environment(self) -> dict[str, str]:
        """The environment of a call whose programs are to stop."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stop = f"{self.folder}:{self.nth}:{self.times}:{self.files}"
        return hooked(PTFT_TEST_STOP=stop)

    def next(self, process: Popen) -> tuple[Path, int]:
        """Wait for a program to stop: the file after which it did, and its process id.

        Args:
            process: what runs the programs.
        """
        return wait_until(self._next, f"a program stops after {self.files}", process)

    def _next(self) -> tuple[Path, int] | None:
        for note in sorted(set(self.folder.iterdir()) - self._handled):
            pid, file = os.readlink(note).split(":", 1)
            with contextlib.suppress(psutil.NoSuchProcess):
                if psutil.Process(int(pid)).status() == psutil.STATUS_STOPPED:
                    self._handled.add(note)
                    return Path(file), int(pid)
        return None
