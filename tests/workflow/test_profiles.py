"""The profiles beside Slurm's are accepted and plan the study."""

import os
import subprocess

import pytest

from .conftest import make_clone

PLUGINS = ".plugins"
"""where `make test` puts what only these profiles need"""


@pytest.mark.parametrize("profile", ["workstation", "lsf", "kubernetes"])
def test_a_profile_plans_the_study(repository, tmp_path, profile):
    if profile != "workstation" and not (repository / PLUGINS).is_dir():
        pytest.skip(f"no plugins for clusters in {PLUGINS} (`make test` puts them there)")
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    # What a profile can't know: where the volume is that the pods share.
    shared = ["--default-storage-prefix", str(clone.root)] if profile == "kubernetes" else []
    planned = subprocess.run(
        clone.command("-n", "--profile", f"profiles/{profile}", *shared),
        cwd=clone.root,
        env=os.environ | {"PYTHONPATH": str(repository / PLUGINS)},
        capture_output=True,
        text=True,
    )
    assert planned.returncode == 0, planned.stderr
    assert clone.counted(planned.stdout + planned.stderr)["finetune_model"] == 4
