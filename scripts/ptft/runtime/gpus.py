"""GPUs of this machine: each job leases its own, and finds them or ends.

The pool is what CUDA_VISIBLE_DEVICES allows (set by a user or by Slurm), else all GPUs; a GPU that
is cut into slices (MIG) is as many as it has slices. Inside a Slurm job the locks are the
allocation's own: which GPUs it has is Slurm's decision.

A lock is an abstract Unix socket: a name that the kernel gives to one process of the machine at a
time, whoever its user is. A lock file in a folder that all users share would depend on its owner,
its mode, the sticky bit and whatever tidies /tmp. It ends with its job.

A job that leased GPUs must find them: PyPI's torch is built for a version of CUDA that older
drivers do not run, and torch then falls back to the CPU without a word.
"""

import contextlib
import errno
import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
SLICE = "MIG-"
"""how the name of a part of a GPU begins"""
UUID = re.compile(r"\(UUID: ([^)\s]+)\)")
"""the name at the end of a line of ``nvidia-smi -L``"""
TFLOPS = {"h100": 989, "h200": 989, "a100": 312, "l40s": 362, "a40": 150, "l4": 121}
"""Peak of a GPU model's tensor cores in bfloat16, by NVIDIA's data sheets, without sparsity, which
they count twofold for H100, H200 and L4; of H100 and H200 as SXM modules"""


def tflops(name: str) -> float | None:
    """Peak of a GPU by its name, as Slurm or torch has it; None where it is not known."""
    words = re.split(r"[\W_]+", name.lower())
    return next((TFLOPS[word] for word in words if word in TFLOPS), None)


def gpu_pool() -> list[str]:
    """Names of the GPUs that jobs may use here, as CUDA_VISIBLE_DEVICES takes them."""
    preset = os.environ.get(VISIBLE)
    if preset is not None:
        return [name.strip() for name in preset.split(",") if name.strip()]
    return _without_cut_gpus(UUID.findall(_nvidia_smi("-L")))


def gpu_memory_gb() -> float | None:
    """GB (2^30 bytes) of the largest GPU here; None where nothing tells, or a GPU is cut."""
    if any(name.startswith(SLICE) for name in gpu_pool()):
        return None
    found = _nvidia_smi("--query-gpu=memory.total", "--format=csv,noheader,nounits").split()
    return max((int(size) for size in found if size.isdigit()), default=0) / 1024 or None


def _nvidia_smi(*arguments: str) -> str:
    """Output of NVIDIA's tool; nothing where it is missing or fails."""
    try:
        return subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _without_cut_gpus(listed: list[str]) -> list[str]:
    """Of GPUs and slices, a GPU before its slices, the GPUs that have none and the slices."""
    return [
        name
        for name, after in pairwise([*listed, ""])
        if name.startswith(SLICE) or not after.startswith(SLICE)
    ]


@contextlib.contextmanager
def lease(count: int, poll_seconds: float = 1.0) -> Iterator[tuple[list[str], list[int]]]:
    """Hold ``count`` GPUs of the pool, waiting until as many are free.

    On a machine without any, outside of a cluster's job, it is none: the CPU does the work.

    Yields:
        their names, and the descriptors of the locks. A child that inherits the descriptors
        keeps the lease even if this process is killed.

    Raises:
        ValueError: the pool has fewer GPUs than asked for, slices not counted for several.
    """
    pool = gpu_pool() if count else []
    if count and not pool and "SLURM_JOB_ID" not in os.environ:
        log.warning("this machine has no GPU: the job runs on the CPU")
        count = 0
    slices = [name for name in pool if name.startswith(SLICE)] if count > 1 else []
    pool = [name for name in pool if name not in slices]
    if len(pool) < count:
        why = (
            f" and {len(slices)} slices (MIG), of which CUDA shows a process one" if slices else ""
        )
        raise ValueError(
            f"the job asks for {count} GPUs, but this machine offers {len(pool)}{why} "
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


OLDEST_DRIVER = {"12": 525, "13": 580}
"""CUDA's major version -> oldest driver of NVIDIA that runs all of its builds"""
BUILDS = "https://download.pytorch.org/whl"
LEASED = "PTFT_LEASED_GPUS"
"""environment variable: how many GPUs the job of a program leased"""
CPU_STANDS_IN = "PTFT_CPU_STANDS_IN_FOR_GPUS"
"""environment variable, for tests of workflow and cluster: leased GPUs are names only"""


class GpusMissing(RuntimeError):
    """The job leased GPUs that its program cannot use."""


def require_leased_gpus() -> None:
    """Stop where torch sees fewer GPUs than the job leased.

    Raises:
        GpusMissing: naming driver, torch build and what to install.
    """
    leased = int(os.environ.get(LEASED, "0"))
    if not leased or os.environ.get(CPU_STANDS_IN):
        return
    import torch

    # The count alone comes from the driver's library, which answers for a driver too old as well.
    usable = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if usable >= leased:
        return
    driver, cuda = driver_version(), torch.version.cuda
    why = driver_problem(driver, cuda, torch.__version__) or (
        f"torch {torch.__version__} is built for {f'CUDA {cuda}' if cuda else 'the CPU alone'}, "
        f"the driver is {driver}; `snakemake check_gpu` says more"
    )
    raise GpusMissing(
        f"the job leased {leased} GPUs (CUDA_VISIBLE_DEVICES="
        f"{os.environ.get('CUDA_VISIBLE_DEVICES', '')}), but torch can use {usable}: {why}; or set "
        "compute.gpus: 0 in the study"
    )


def driver_problem(driver: str, cuda: str | None, torch: str) -> str | None:
    """Why a driver does not run a build of torch, and the way out.

    Args:
        driver: version of NVIDIA's driver.
        cuda: that torch is built for; None: a CPU.
        torch: its version.

    Returns:
        None where it does, or where it is not known.
    """
    number, major = driver.split(".")[0], (cuda or "").split(".")[0]
    if not number.isdigit():
        return None
    version = torch.split("+")[0]
    install = (
        f"install torch's build for CUDA 12.6, which runs from driver {OLDEST_DRIVER['12']}: pip "
        f"install --force-reinstall torch=={version} --index-url {BUILDS}/cu126 (for the "
        "container: make container CUDA=cu126)"
    )
    if not major:
        return f"torch {torch} is built for the CPU alone, the driver is {driver}; {install}"
    needed = OLDEST_DRIVER.get(major, 0)
    if int(number) >= needed:
        return None
    return (
        f"torch {torch} is built for CUDA {cuda}, which needs NVIDIA driver {needed} or newer; "
        f"found {driver}; {install}"
    )


def driver_version() -> str:
    """NVIDIA's driver as nvidia-smi names it; 'not found' without one."""
    found = _nvidia_smi("--query-gpu=driver_version", "--format=csv,noheader").split()
    return found[0] if found else "not found"
