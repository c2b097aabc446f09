"""Jobs of several processes under the real torchrun: what a stop leaves them time for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import PATIENCE, wait_until

import run_job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="GPUs are leased by abstract sockets"),
]
# Saves for three seconds once it is told to stop.
WORKER = """\
import os, pathlib, signal, sys, time

folder, rank = pathlib.Path(sys.argv[1]), os.environ["RANK"]

def save(*_):
    time.sleep(3)
    (folder / f"saved{rank}").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
(folder / f"ready{rank}").touch()
while True:
    time.sleep(0.05)
"""


def saved_after_a_stop(folder: Path, save_seconds: int) -> list[str]:
    """State of two workers when the job of theirs has ended after SIGTERM."""
    worker = folder / "worker.py"
    worker.write_text(WORKER)
    torchrun = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node=2"]
    options = ["--record", folder / "records", "--gpus", "2", "--save-seconds", str(save_seconds)]
    job = subprocess.Popen(
        [sys.executable, run_job.__file__, *options, "--", *torchrun, worker, folder],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": f"a-{os.getpid()},b-{os.getpid()}"},
    )
    try:
        wait_until(lambda: len(list(folder.glob("ready*"))) == 2, "workers are ready", job)
        job.terminate()
        assert job.wait(PATIENCE) != 0
    finally:
        job.kill()
    return sorted(path.name for path in folder.glob("saved*"))


def test_workers_are_killed_before_they_have_saved_if_they_have_too_little_time(tmp_path):
    assert saved_after_a_stop(tmp_path, save_seconds=1) == []


def test_workers_save_for_as_long_as_the_job_says(tmp_path):
    assert saved_after_a_stop(tmp_path, save_seconds=600) == ["saved0", "saved1"]
