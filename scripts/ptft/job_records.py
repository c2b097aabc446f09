"""What jobs did: one small file an attempt, written when it begins, beaten while it runs, closed
when it ends. Attempts that were killed stay visible: their file was never closed.
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

BEAT_SECONDS = 15.0
STALE_SECONDS = 90.0
GPU_MEMORY_FILE = "PTFT_GPU_MEMORY_FILE"
"""environment variable: where a program leaves the GPU memory it used, for its record"""


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


def note_gpu_memory(gib: float) -> None:
    """Leave what a program used of its GPU for the record of the job that it runs in, if any."""
    if GPU_MEMORY_FILE in os.environ:
        Path(os.environ[GPU_MEMORY_FILE]).write_text(str(gib))


@contextlib.contextmanager
def recorded(folder: Path, gpus: Sequence[str], beat_seconds: float = BEAT_SECONDS) -> Iterator:
    """Record an attempt in ``folder``.

    The block is given a file for ``note_gpu_memory`` and a function to call with its status.
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

    noted = file.with_suffix(".gpu_memory")

    def close(status: int) -> None:
        used = float(noted.read_text()) if noted.exists() else None
        noted.unlink(missing_ok=True)
        ended = dataclasses.replace(record, ended=time.time(), status=status, gpu_gib=used)
        _write(file, ended)

    try:
        yield noted, close
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


def _write(file: Path, record: JobRecord) -> None:
    content = dataclasses.asdict(record)
    del content["beat"]
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(file)
