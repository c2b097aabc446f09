"""Records of jobs: one small file an attempt, written when it begins, beaten while it runs, closed
when it ends. Attempts that were killed stay visible: their file was never closed. The program that
the job runs notes what it meets (``note``); a file changes by a rename, so it is always there.
"""

import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptft.paths import replacing

BEAT_SECONDS = 15.0
STALE_SECONDS = 90.0
RECORD = "PTFT_JOB_RECORD"
"""environment variable: the record of the attempt that a program runs in"""


@dataclass(frozen=True)
class JobRecord:
    """One attempt of a job."""

    started: float
    """seconds since 1970"""
    host: str
    node: str
    """Slurm's name of the node, else the host"""
    pid: int
    gpus: tuple[str, ...]
    slurm_job: str | None
    ended: float | None = None
    """None while it runs, and for ever where it was killed"""
    status: int | None = None
    gpu_gib: float | None = None
    """most memory that its program allocated on one GPU; None without a GPU"""
    waiting_for: str | None = None
    """lock that another process holds, while it waits for it"""
    resumed_from: int | None = None
    """update that its training went on from; None if it began at the first"""
    reused: int | None = None
    """finished results of earlier attempts that it took: cells from the store, or a model (1)"""
    cells: int | None = None
    """cells that an evaluation was asked for, the reused ones included"""
    examples: int | None = None
    """examples that an evaluation scored, each as often as its cells did"""
    beat: float = 0.0
    """when it was last known to live"""

    @property
    def state(self) -> str:
        """done, failed, running, or lost (killed before it could say so)."""
        if self.ended is not None:
            return "failed" if self.status else "done"
        return "running" if time.time() - self.beat < STALE_SECONDS else "lost"

    @property
    def seconds(self) -> float:
        """How long it ran, as far as it is known."""
        return (self.ended or self.beat) - self.started


def note(**fields: Any) -> None:
    """Put fields of :class:`JobRecord` on the record of the job that this runs in, if any."""
    if RECORD in os.environ:
        _change(Path(os.environ[RECORD]), **fields)


@contextlib.contextmanager
def recorded(folder: Path, gpus: Sequence[str], beat_seconds: float = BEAT_SECONDS) -> Iterator:
    """Record an attempt in ``folder``.

    The block is given the file, for ``note``, and a function to call with its status.
    """
    folder.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    record = JobRecord(
        started=time.time(),
        host=host,
        node=os.environ.get("SLURMD_NODENAME", host),
        pid=os.getpid(),
        gpus=tuple(gpus),
        slurm_job=os.environ.get("SLURM_JOB_ID"),
    )
    file = folder / f"{record.started:.3f}-{record.node}-{record.pid}.json"
    _write(file, record)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(beat_seconds):
            with contextlib.suppress(OSError):
                os.utime(file)

    beater = threading.Thread(target=beat, daemon=True)
    beater.start()

    def close(status: int) -> None:
        _change(file, ended=time.time(), status=status)

    try:
        yield file, close
    finally:
        stop.set()
        beater.join()


def read_records(folder: Path) -> list[JobRecord]:
    """Attempts recorded in a folder, the oldest first; none where there is no folder."""
    records = [_read(file) for file in folder.glob("*.json")] if folder.is_dir() else []
    return sorted(records, key=lambda record: record.started)


def _read(file: Path) -> JobRecord:
    content: Mapping = json.loads(file.read_text())
    return JobRecord(**{**content, "gpus": tuple(content["gpus"]), "beat": file.stat().st_mtime})


def _change(file: Path, **fields: Any) -> None:
    _write(file, dataclasses.replace(_read(file), **fields))


def _write(file: Path, record: JobRecord) -> None:
    content = dataclasses.asdict(record)
    del content["beat"]
    with replacing(file) as draft:
        draft.write_text(json.dumps(content))
