"""Locks that die with their holder: one main process per study, one job at the same work.

Snakemake's lock stays behind when its process is killed, and must be removed by hand before the
next call. With `nolock` in profiles/default, these take its place: one for the study's results,
and one for each output that studies share and that this process is going to make.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TextIO

from ptft.runtime.job_records import note

log = logging.getLogger(__name__)


class StudyLockError(RuntimeError):
    """The study can't be locked: another process has it, or nothing can be written there."""


_held: list[TextIO] = []
"""a lock ends when its file is closed, so whoever takes one can't drop it by mistake"""


def lock_study(results: Path) -> TextIO:
    """Hold a study's results folder until this process ends.

    Returns:
        the open lock file.

    Raises:
        StudyLockError: another process is working on the study, or the folder can't be written.
    """
    handle = _open(results / "state" / "main.lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        holder = handle.read().strip()
        handle.close()
        raise StudyLockError(
            f"another Snakemake ({holder}) is working on {results}: wait for it to end, or "
            "end it, then run this again"
        ) from None
    except OSError as error:
        raise StudyLockError(f"{handle.name} can't be locked: {error.strerror}") from None
    handle.truncate(0)
    where, since = socket.gethostname(), f"{datetime.now():%Y-%m-%d %H:%M}"
    print(f"process {os.getpid()} on {where}, since {since}", file=handle, flush=True)
    return handle


def lock_shared(outputs: Iterable[str], file: Path) -> None:
    """Hold what studies share and this process is going to make, until it ends.

    Args:
        outputs: paths of what is going to be made.
        file: of the locks; each output locks the byte that its hash gives.

    Raises:
        StudyLockError: another process is going to make one of them.
    """
    outputs = sorted(outputs)
    if not outputs:
        return
    handle = _open(file)
    for output in outputs:
        byte = int.from_bytes(hashlib.sha256(output.encode()).digest()[:7])
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            raise StudyLockError(
                f"another Snakemake is making {output}, which this study needs as well: call "
                "again when it is there"
            ) from None
        except OSError as error:
            raise StudyLockError(f"{file} can't be locked: {error.strerror}") from None


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock beside ``path`` (``path`` + ".lock"), waiting for another holder to end.

    A holder that dies, however it dies, gives its lock up. The lock file is removed at the end.
    """
    lock = path.with_name(path.name + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = lock.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("waiting: another process is at the same work (%s)", lock)
            note(waiting_for=str(lock))
            fcntl.flock(handle, fcntl.LOCK_EX)
            note(waiting_for=None)
        # The last holder may have removed the file while we waited: then this lock guards nothing.
        if lock.exists() and lock.stat().st_ino == os.fstat(handle.fileno()).st_ino:
            break
        handle.close()
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        handle.close()


def _open(file: Path) -> TextIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("a+")
    except OSError as error:
        raise StudyLockError(
            f"{file} can't be written: {error.strerror}. Results and resources need a place "
            "where this user may write"
        ) from None
    _held.append(handle)
    return handle
