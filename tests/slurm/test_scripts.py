"""The scripts for sbatch: a study whose main process is a job itself is killed and goes on."""

import os
import signal
import subprocess
import sys

import pytest

from ..waiting import wait_until
from .cluster import kill, processes_of_job
from .study import CELLS, FAST
from .test_survival import assert_no_half_files

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def submit(study, script, *options, pace=()):
    """Submit a script of the clone for the study's cells; its Slurm id."""
    environment = study.environment
    programs = os.path.dirname(sys.executable)  # where `snakemake` is, as in an active environment
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    command = ["sbatch", "--parsable", "--mem=4G", "--cpus-per-task=2", *options]
    command += [f"slurm/{script}", CELLS, *pace, "--configfile", "study.yaml"]
    done = subprocess.run(
        command, cwd=study.root, env=environment, text=True, capture_output=True, check=True
    )
    return done.stdout.strip()


def ended(study, job):
    """Whether a job has ended, and well."""
    states = {found["id"]: found["state"] for found in study.cluster.jobs()}
    assert states[job] not in ("FAILED", "TIMEOUT"), (study.root / f"slurm-{job}.out").read_text()
    return states[job] == "COMPLETED"


def test_a_main_process_in_a_job_is_killed_and_submitted_again(study, reference):
    """Its jobs outlive it; those of the next one wait for them and compute nothing again."""
    study.narrow("[step4]", "[0]")
    study.stop_trainings(1)
    first = submit(study, "main_process.sh", pace=FAST)
    orphan, name, process = study.hold()
    study.cluster.call("scancel", first)
    wait_until(
        lambda: first not in [job["id"] for job in study.cluster.jobs("RUNNING", "COMPLETING")],
        "the main process is gone",
    )
    done = {path: path.stat().st_ino for path in study.results.glob("state/cells/*.parquet")}
    second = submit(study, "main_process.sh", pace=FAST)

    def second_waits():
        last = study.records("finetune_model")[name][-1]
        return last.slurm_job != orphan and last.waiting_for

    wait_until(second_waits, "a second job waits for the first")
    kill(process, signal.SIGCONT)
    wait_until(lambda: ended(study, second), "the second main process is done")
    study.assert_cells_equal(reference)
    assert_no_half_files(study)
    trained, waited = study.records("finetune_model")[name]
    assert (trained.slurm_job, trained.status, trained.reused) == (orphan, 0, 0)
    assert (waited.status, waited.reused, waited.resumed_from) == (0, 1, None)
    evaluations = [record for made in study.records("evaluate_model").values() for record in made]
    assert sum(record.cells - record.reused for record in evaluations) == 2 * 2
    assert all(path.stat().st_ino == inode for path, inode in done.items())
    wait_until(lambda: not processes_of_job(orphan), "the orphan has ended")


def test_a_study_in_one_allocation_saves_its_state_and_goes_on(study, reference):
    """Before the time limit: a signal to the script alone."""
    study.narrow("[step4]", "[0]")
    study.stop_trainings(1)
    job = submit(study, "one_allocation.sh", "--gpus=1")
    _, _, process = study.hold()
    study.cluster.call("scancel", "--batch", "--signal=TERM", job)
    kill(process, signal.SIGCONT)
    wait_until(lambda: ended(study, job), "the study is done")
    study.assert_cells_equal(reference)
    assert_no_half_files(study)
    ((begun, resumed),) = study.records("finetune_model").values()
    assert begun.status != 0 and resumed.status == 0 and resumed.resumed_from >= 1
