"""Two main processes at once, and one that was killed: what the second says, what goes on."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from tests.waiting import wait_until

from .conftest import Clone, make_clone

RESOLVED = "results/tiny/study.yaml"
CORPUS = "resources/pocket/corpus.txt"
# In place of a rule's program: it reads the gate to its end, then makes the rule's first output.
GATED = """
import os
import sys
from pathlib import Path

Path("environment").write_text(repr(dict(os.environ)))
Path("gate").read_text()
target = Path(sys.argv[sys.argv.index("--output") + 1])
if target.suffix:
    target.write_text("{}")
else:
    (target / "datasets").mkdir(parents=True, exist_ok=True)
    (target / "corpus.txt").write_text("")
"""


@pytest.fixture
def clone(repository, tmp_path) -> Clone:
    """A study whose first job waits at a gate."""
    clone = make_clone(repository, tmp_path / "clone", "tiny")
    for program in ("write_study", "make_pocket_world"):
        (clone.root / f"scripts/{program}.py").write_text(GATED)
    os.mkfifo(clone.root / "gate")
    return clone


def start(clone: Clone, target: str, *options: str) -> tuple[subprocess.Popen, int]:
    """Snakemake, once its job waits at the gate, and the gate's other end."""
    process = subprocess.Popen(
        clone.command(target, *options),
        cwd=clone.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def opened():
        with contextlib.suppress(OSError):  # nobody reads yet
            return [os.open(clone.root / "gate", os.O_WRONLY | os.O_NONBLOCK)]

    [gate] = wait_until(opened, "the job waits at the gate", process)
    return process, gate


def refused(clone: Clone, target: str, *options: str) -> str:
    """Output of Snakemake when it does not start."""
    command = clone.command(target, *options)
    done = subprocess.run(command, cwd=clone.root, text=True, capture_output=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_study_has_one_main_process_and_a_killed_one_is_no_obstacle(clone, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    first, gate = start(clone, RESOLVED)
    said = refused(clone, RESOLVED)
    assert f"another Snakemake (process {first.pid} on " in said
    assert "is working on results/tiny: wait for it to end" in said
    # By the way: a program that does not talk to the Hub has not got its token.
    environment = (clone.root / "environment").read_text()
    assert "'PATH'" in environment and "hf_secret" not in environment
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    os.close(gate)
    os.remove(clone.root / "gate")
    (clone.root / "gate").touch()
    assert not (clone.root / RESOLVED).exists()
    clone.snakemake(RESOLVED)
    assert (clone.root / RESOLVED).read_text() == "{}"


def test_on_a_cluster_a_study_has_one_main_process(clone, repository, monkeypatch):
    """A job that waits at the gate is one of the main process's own machine."""
    plugin = "snakemake_executor_plugin_slurm"
    pytest.importorskip(plugin, reason=f"{plugin} is not installed")
    # No cluster is asked for anything: its program is there, and says nothing.
    squeue = clone.root / "tools/squeue"
    squeue.parent.mkdir()
    squeue.write_text("#!/bin/sh\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(squeue.parent), prepend=os.pathsep)
    shutil.copytree(repository / "slurm", clone.root / "slurm")
    # Without the second option Snakemake pauses for as long before it ends.
    options = ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1"]
    first, gate = start(clone, RESOLVED, *options)
    assert f"another Snakemake (process {first.pid} on " in refused(clone, RESOLVED, *options)
    os.close(gate)
    assert first.wait() == 0


@pytest.fixture
def other(clone) -> Clone:
    """Another study of the same checkpoints."""
    study = (clone.root / "study.yaml").read_text()
    (clone.root / "other.yaml").write_text(study.replace("study: tiny", "study: other"))
    return Clone(clone.root, "other.yaml")


def test_studies_that_share_finished_checkpoints_run_side_by_side(clone, other):
    for made in (CORPUS, *(f"resources/models/tiny/step{step}/model" for step in (4, 8, 16))):
        (clone.root / made).parent.mkdir(parents=True, exist_ok=True)
        (clone.root / made).touch()
    first, gate = start(clone, RESOLVED)
    ungated = GATED.replace('Path("gate").read_text()\n', "")
    (clone.root / "scripts/write_study.py").write_text(ungated)
    other.snakemake("results/other/study.yaml")
    assert first.poll() is None
    os.close(gate)
    assert first.wait() == 0


def test_what_studies_share_is_made_by_one_of_them(clone, other):
    first, gate = start(clone, CORPUS)
    assert "another Snakemake is making resources/" in refused(other, CORPUS)
    os.close(gate)
    assert first.wait() == 0
    assert "Nothing to be done" in other.snakemake(CORPUS)
