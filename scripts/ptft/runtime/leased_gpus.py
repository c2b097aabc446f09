"""A job that leased GPUs must find them: torch falls back to the CPU without a word.

PyPI's torch is built for a version of CUDA that older drivers do not run; a job would then hold
a GPU for days and compute on the CPU beside it.
"""

import os
import subprocess

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
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
    raise GpusMissing(
        f"the job leased {leased} GPUs (CUDA_VISIBLE_DEVICES="
        f"{os.environ.get('CUDA_VISIBLE_DEVICES', '')}), but torch can use {usable}: torch "
        f"{torch.__version__} is built for {built}, the driver is {driver_version()}. Install a "
        "torch built for this driver (CUDA 13 needs driver 580 or newer, CUDA 12.6 needs 560; "
        "https://pytorch.org/get-started lists the builds), or set compute.gpus: 0 in the study"
    )


def driver_version() -> str:
    """NVIDIA's driver as nvidia-smi names it; 'not found' without one."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        found = []
    return found[0] if found else "not found"
