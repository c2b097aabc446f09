"""Jobs of a cluster in a container: each job's own Snakemake starts apptainer on its node."""

import pytest

from ..stand_ins import Installed

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def test_programs_of_submitted_jobs_run_in_the_container(study, tmp_path, monkeypatch):
    installed = Installed(tmp_path, monkeypatch)
    (study.root / "envs/container.sif").touch()
    study.narrow("[step4]", "[0]")
    study.run("--sdm", "apptainer")
    models = [call for call in installed.asked("exec") if "scripts/run_job.py" in call[-1]]
    assert len(models) == 1 + 2  # a training; two evaluations
    assert all("--nv" in call[: call.index("envs/container.sif")] for call in models)
    (training,) = study.records("finetune_model").values()
    assert training[-1].slurm_job and training[-1].status == 0
