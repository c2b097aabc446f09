"""The profiles beside Slurm's are accepted and plan the study."""

import pytest

from .conftest import make_clone


@pytest.mark.parametrize(
    ("profile", "plugin"),
    [
        ("workstation", None),
        ("lsf", "snakemake_executor_plugin_lsf"),
        ("kubernetes", "snakemake_executor_plugin_kubernetes"),
    ],
)
def test_a_profile_plans_the_study(repository, tmp_path, profile, plugin):
    if plugin:
        pytest.importorskip(plugin, reason=f"{plugin} is not installed")
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    # What a profile can't know: where the volume is that the pods share.
    shared = ["--default-storage-prefix", str(clone.root)] if profile == "kubernetes" else []
    output = clone.snakemake("-n", "--profile", f"profiles/{profile}", *shared)
    assert clone.counted(output)["finetune_model"] == 4
