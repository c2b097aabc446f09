"""Leases of this machine's GPUs: each job gets its own, held by a lock that dies with the job.

The pool is what CUDA_VISIBLE_DEVICES allows (set by a user or by Slurm), else all GPUs. Inside a
Slurm job the locks are the allocation's own: which GPUs it has is Slurm's decision.

A lock is an abstract Unix socket: a name that the kernel gives to one process of the machine at a
time, whoever its user is. A lock file in a folder that all users share would depend on its owner,
its mode, the sticky bit and whatever tidies /tmp.
"""

import contextlib
import errno
import logging
import os
import socket
import subprocess
import time
from collections.abc import Iterator

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpu_pool() -> list[str]:
    """Names of the GPUs that jobs may use here, as CUDA_VISIBLE_DEVICES takes them."""
    preset = os.environ.get(VISIBLE)
    if preset is not None:
        return [name.strip() for name in preset.split(",") if name.strip()]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return listed.split()


@contextlib.contextmanager
def lease(count: int, poll_seconds: float = 1.0) -> Iterator[tuple[list[str], list[int]]]:
    """Hold ``count`` GPUs of the pool, waiting until as many are free.

    Yields:
        their names, and the descriptors of the locks. A child that inherits the descriptors
        keeps the lease even if this process is killed.

    Raises:
        ValueError: the pool has fewer GPUs than asked for.
    """
    pool = gpu_pool() if count else []
    if len(pool) < count:
        raise ValueError(
            f"the job asks for {count} GPUs, but this machine offers {len(pool)} "
            f"({VISIBLE}={os.environ.get(VISIBLE, 'not set')}); lower compute.gpus in the study"
        )
    handles: list[int] = []
    try:
        waiting = False
        while not (held := _take(pool, count, handles)) and count:
            if not waiting:
                log.info("waiting: fewer than %d of %d GPUs are free", count, len(pool))
                waiting = True
            time.sleep(poll_seconds)
        yield held, handles
    finally:
        for handle in handles:
            os.close(handle)


def _take(pool: list[str], count: int, handles: list[int]) -> list[str]:
    """Lock ``count`` GPUs, all or none: holding some while waiting for more could deadlock."""
    held: list[str] = []
    for name in pool:
        if len(held) == count:
            break
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0{_lock_name(name)}")
        except OSError as error:
            lock.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        held.append(name)
        handles.append(lock.detach())
    if len(held) < count:
        while handles:
            os.close(handles.pop())
        return []
    return held


def _lock_name(gpu: str) -> str:
    """Lock of a GPU, of all users of the machine (or of the jobs of one allocation)."""
    allocation = os.environ.get("SLURM_JOB_ID")
    return f"ptft-gpu/slurm-{allocation}/{gpu}" if allocation else f"ptft-gpu/{gpu}"
