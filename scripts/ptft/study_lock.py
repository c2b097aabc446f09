"""One main process a study: a lock that dies with its holder, unlike Snakemake's own.

Snakemake's lock stays behind when its process is killed, and must be removed by hand before the
next call. With `nolock` in the profile, this one takes its place.
"""

import fcntl
import os
import socket
from pathlib import Path
from typing import TextIO


class StudyBusy(RuntimeError):
    """Another main process works on the study."""


def lock_study(folder: Path) -> TextIO:
    """Hold a study until this process ends.

    Returns:
        the open lock file: keep it.

    Raises:
        StudyBusy: another process is at work on the study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = (folder / "main.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        raise StudyBusy(
            f"another Snakemake ({handle.read().strip()}) is at work on {folder}; wait for it, "
            "or end it and start again"
        ) from None
    handle.truncate(0)
    print(f"process {os.getpid()} on {socket.gethostname()}", file=handle, flush=True)
    return handle
