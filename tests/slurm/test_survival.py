"""Failures of a night: each failure ends in a finished study with the tables of a quiet night."""

import re
import signal

import pytest

from ..stand_ins import Installed
from ..waiting import wait_until
from .cluster import kill
from .study import is_struck

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

TRAININGS = ["step4/full.pocket_nli.s0", "step4/full.pocket_nli.s1"]


def assert_no_half_files(study):
    left = [path for path in study.results.rglob("*") if re.search(r"partial|\.\d+$", path.name)]
    assert left == []


def assert_no_gpu_is_double_booked(study):
    """No two jobs had the same GPU of the same node at the same time, by their own records."""
    booked = {}
    for rule in ("finetune_model", "evaluate_model"):
        for records in study.records(rule).values():
            for record in records:
                (gpu,) = record.gpus
                end = record.ended or record.beat
                booked.setdefault((record.node, gpu), []).append((record.started, end))
    for times in booked.values():
        times.sort()
        for (_, end), (start, _) in zip(times, times[1:], strict=False):
            assert end <= start
    return {node for node, _ in booked}


def test_an_undisturbed_run(study, reference, tmp_path, monkeypatch):
    """All nodes work, no GPU is booked twice, the tables are those of a local run.

    Each job asks for the GPU that is there, the preferred one being too small, in the partition
    that has it, loads a module, and runs its program in a container.
    """
    installed = Installed(tmp_path, monkeypatch)
    (study.root / "envs/container.sif").touch()
    study.narrow("[step4]", "[0, 1]")
    file = study.root / "study.yaml"
    models = "gpus: 1, gpu_models: {l4: 1.0e-5, a100: 80}"
    file.write_text(file.read_text().replace("gpus: 1", models))
    (study.root / "slurm/partitions.yaml").write_text(
        "partitions:\n  gpu: {max_gpu: 1, available_gpu_models: [l4]}\n"
        "  chosen: {max_gpu: 1, available_gpu_models: [a100]}\n"
    )
    loaded = tmp_path / "loaded"
    profile = study.root / "slurm/config.yaml"
    text = profile.read_text().replace("# slurm-partition", "slurm-partition")
    load = f"precommand: echo $SLURM_JOB_ID >> {loaded}"
    profile.write_text(re.sub("# precommand: .*", load, text))
    earlier = {job["id"] for job in study.cluster.jobs()}
    study.start("--sdm", "apptainer", stops=1)
    trainings = [study.hold() for _ in range(2)]  # pause, so that a third job has a third node
    wait_until(lambda: study.records("evaluate_model"), "a third job runs", study.process)
    for _, _, process in trainings:
        kill(process, signal.SIGCONT)
    output = study.finish()
    assert "secret" not in output
    study.assert_cells_equal(reference)
    assert assert_no_gpu_is_double_booked(study) == {"d0", "d1", "d2"}
    assert_no_half_files(study)
    calls = loaded.read_text().splitlines()
    jobs = [job for job in study.cluster.jobs() if job["comment"].startswith("rule_")]
    submitted = {job["id"] for job in jobs} - earlier
    assert sorted(calls) == sorted(submitted)
    assert len(calls) == 2 + 1 + 2
    models = [call for call in installed.asked("exec") if "scripts/run_job.py" in call[-1]]
    assert len(models) == 2 + 1 + 2
    assert all("--nv" in call[: call.index("envs/container.sif")] for call in models)
    assert {job["partition"] for job in jobs if job["id"] in submitted} == {"chosen"}
    assert {job["memory"] for job in jobs} == {"4001M"}  # the profile's default is 4000
    for rule, jobs in (("finetune_model", 2), ("evaluate_model", 1 + 2)):
        attempts = list(study.records(rule).values())
        assert len(attempts) == jobs
        assert all([record.status for record in records] == [0] for records in attempts)


def test_a_night_of_failures(study, reference):
    """A controller that is away, a time limit, and a node that dies, whose job Slurm requeues."""
    study.narrow("[step4]", "[0, 1]")
    study.start(stops=1)
    cluster = study.cluster
    (late, first, process), (lost, second, _) = study.hold(), study.hold()
    cluster.lose_controller(requests=12)
    cluster.call("scontrol", "update", f"jobid={late}", "timelimit=1")
    node = next(entry["node"] for entry in cluster.jobs() if entry["id"] == lost)
    cluster.kill_node(node, [int(lost)])
    wait_until(lambda: is_struck(process, signal.SIGTERM), "the time limit is near")
    kill(process, signal.SIGCONT)
    cluster.revive_node(node)
    study.finish()
    assert sorted([first, second]) == TRAININGS
    study.assert_cells_equal(reference)
    assert_no_half_files(study)
    assert_no_gpu_is_double_booked(study)
    for name in TRAININGS:
        begun, resumed = study.records("finetune_model")[name]
        assert begun.resumed_from is None and begun.status != 0
        assert resumed.resumed_from >= 1 and resumed.status == 0
