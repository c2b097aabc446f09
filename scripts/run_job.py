"""Run a job's program; ends with its exit status, or 128 + N if signal N ended it.

The program gets CUDA_VISIBLE_DEVICES (empty if it asks for no GPU), the offline switches of the
Hub's libraries, one cache of compiled layers for all jobs of a user, and none of the Hub's tokens.
SIGTERM is passed on to it, and by torchrun to its workers, which it kills after --save-seconds; its
exit status is this program's. What it started and left behind when it was killed is ended, so that
it does not hold a GPU that the next job gets.

Args:
    record: folder of the job's records
    gpus: number of GPUs that the program needs
    command: program and arguments, after --
    save_seconds: seconds that it may take to save its state
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import tyro

from ptft.hub import TOKENS
from ptft.runtime.gpus import LEASED, VISIBLE, lease
from ptft.runtime.job_records import RECORD, recorded
from ptft.runtime.programs import program

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_EVALUATE_OFFLINE")
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
SAVING = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"  # of torchrun: seconds between SIGTERM and SIGKILL
COMPILED = "TORCHINDUCTOR_CACHE_DIR"  # torch's own default is on the node, and not kept
ORPHAN_SECONDS = 30  # for what is killed to free its memory


def compiled_layers() -> Path:
    """Where jobs of this user keep what torch compiled, unless the environment says otherwise."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(caches) / "ptft/compiled"


def job_environment(gpus: list[str], save_seconds: int) -> dict[str, str]:
    """The environment of a job that may use these GPUs and needs so long to save its state."""
    environment = {name: value for name, value in os.environ.items() if name not in TOKENS}
    own = {VISIBLE: ",".join(gpus), LEASED: str(len(gpus)), SAVING: str(save_seconds)}
    environment.setdefault(COMPILED, str(compiled_layers()))
    return environment | dict.fromkeys(OFFLINE, "1") | own


def run(command: list[str], environment: dict[str, str], descriptors: list[int]) -> int:
    """Run a program, passing SIGTERM on to it; its exit status as Popen gives it."""
    asked_to_stop = False
    child: subprocess.Popen | None = None

    def pass_on(*_: object) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    if sys.platform == "linux":  # orphans of the program become children of this process
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command, env=environment, pass_fds=descriptors)
    if asked_to_stop:  # while it was being started
        child.terminate()
    status = child.wait()
    orphans = psutil.Process().children(recursive=True)
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    psutil.wait_procs(orphans, timeout=ORPHAN_SECONDS)
    return status


@program
def main(
    record: Path, gpus: int, command: tyro.conf.Positional[list[str]], save_seconds: int = 30
) -> int:
    with lease(gpus) as (leased, locks), recorded(record, leased) as (written, close):
        environment = job_environment(leased, save_seconds) | {RECORD: str(written.absolute())}
        status = run(command, environment, locks)
        status = 128 - status if status < 0 else status
        close(status)
    return status
