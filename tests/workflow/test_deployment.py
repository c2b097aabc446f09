"""Jobs in a container or a conda environment, with stand-ins for apptainer and conda."""

from pathlib import Path

import pytest

from ptft.runtime.job_records import read_records

from ..stand_ins import Installed
from .conftest import make_clone

MODEL = "results/tiny/models/step4/full.pocket_nli.s0"
FIGURE = "results/tiny/figures/base_scores.svg"


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Installed:
    return Installed(tmp_path, monkeypatch)


@pytest.mark.parametrize("method", ["apptainer", "conda"])
def test_a_finished_study_stays_finished_in_another_environment(finished, installed, method):
    (finished.root / "envs/container.sif").touch()
    assert finished.planned("--sdm", method) == []
    # A job that runs there is finished for a call without it, too.
    (finished.root / FIGURE).unlink()
    finished.snakemake(FIGURE, "--sdm", method)
    assert finished.planned(FIGURE) == []
    if method == "conda":
        (create,) = installed.asked("env")
        made = Path(create[create.index("--prefix") + 1])
        assert made.parent == finished.root / ".snakemake/conda"
        asked = Path(create[create.index("--file") + 1]).read_text()
        assert asked == (finished.root / "envs/environment.yaml").read_text()


def test_jobs_run_in_the_container_with_their_gpus(finished, installed, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    (finished.root / "envs/container.sif").touch()
    finished.edit("study.yaml", "bootstrap:", "compute: {gpus: 1}\nbootstrap:")
    finished.snakemake(MODEL, "--sdm", "apptainer", "--forcerun", "finetune_model")
    (arguments,) = [call for call in installed.asked("exec") if MODEL in call[-1]]
    place = arguments.index("envs/container.sif")
    assert arguments[1:3] == ["--home", str(finished.root)]
    assert "--nv" in arguments[:place] and arguments[place + 1 : -1] == ["bash", "-c"]
    assert "scripts/run_job.py" in arguments[-1]
    record = read_records(
        finished.root / "results/tiny/state/jobs/finetune_model/step4/full.pocket_nli.s0"
    )[-1]
    assert record.gpus == ("0",) and record.status == 0


def test_a_missing_image_is_refused(repository, tmp_path, installed):
    output = make_clone(repository, tmp_path / "clone", "tiny").snakemake(
        "-n", "--sdm", "apptainer", fails=True
    )
    assert output.splitlines()[-1] == (
        "--sdm apptainer: envs/container.sif does not exist; build it with `make container`"
    )


def test_one_machine_with_gpus_is_a_profile(repository, tmp_path):
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    planned = clone.planned_counts("--profile", "profiles/workstation")
    assert planned["finetune_model"] == 4
