"""What dies overnight: each failure ends in a finished study with the tables of a quiet night."""

import os
import re
import signal
import time

import pytest

from .cluster import kill, processes_of_job, wait_until
from .conftest import is_struck

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

ARMS = ["full.pocket_nli.s0", "full.pocket_nli.s1"]
TRAININGS = [f"{checkpoint}/{arm}" for checkpoint in ("step4", "step16") for arm in ARMS]


def assert_no_half_files(study):
    left = [path for path in study.results.rglob("*") if "partial" in path.name]
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


def replace_unnoticed(file, content):
    """Change a file but not its time, so that no job is made again because of it."""
    times = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_an_undisturbed_run(study, reference):
    """All nodes work, no GPU is booked twice, the tables are those of a local run."""
    study.narrow("[step4, step16]", "[0]")
    output = study.run()
    assert "secret" not in output
    study.assert_cells_equal(reference)
    assert assert_no_gpu_is_double_booked(study) == {"d0", "d1", "d2"}
    assert_no_half_files(study)
    for rule, jobs in (("finetune_model", 2), ("evaluate_model", 2 * 2)):
        attempts = list(study.records(rule).values())
        assert len(attempts) == jobs
        assert all([record.status for record in records] == [0] for records in attempts)


def test_a_night_of_failures(study, reference):
    """scancel, a time limit, a requeue, a dead node, and a controller that is away."""
    study.start()
    cluster, struck = study.cluster, {}

    job, struck["scancel"], _ = study.hold_training()
    cluster.call("scancel", job)

    job, struck["requeue"], _ = study.hold_training()
    cluster.call("scontrol", "requeue", job)

    job, struck["node"], _ = study.hold_training()
    node = next(entry["node"] for entry in cluster.jobs() if entry["id"] == job)
    cluster.kill_node(node, [int(job)])

    job, struck["time"], process = study.hold_training()
    cluster.stop_controller()
    time.sleep(30)
    cluster.start_controller()
    cluster.revive_node(node)
    cluster.call("scontrol", "update", f"jobid={job}", "timelimit=1")
    wait_until(lambda: is_struck(process, signal.SIGTERM), 120, "the time limit")
    kill(process, signal.SIGCONT)

    study.finish()
    assert sorted(struck.values()) == sorted(TRAININGS)
    study.assert_cells_equal(reference)
    assert_no_half_files(study)
    assert_no_gpu_is_double_booked(study)
    attempts = study.records("finetune_model")
    for name in TRAININGS:
        assert "resuming after update" in study.log_of("finetune_model", name)
        assert len(attempts[name]) >= 2 and attempts[name][-1].status == 0


def test_a_killed_main_process_and_its_orphans(study, reference):
    """A new call beside jobs that still run: it waits for them and computes nothing again."""
    study.narrow("[step4]", "[0]")
    study.start()
    orphan, name, process = study.hold_training()
    study.process.kill()
    study.process.wait()
    done_before = {
        path: path.stat().st_ino for path in (study.results / "state/cells").rglob("*.parquet")
    }
    study.start()

    def second():
        twins = [job for job, twin in study.running("finetune_model").items() if twin == name]
        waits = "another process is at the same work" in study.log_of("finetune_model", name)
        return waits and [job for job in twins if job != orphan]

    wait_until(second, 240, "a second job at the same training")
    kill(process, signal.SIGCONT)
    study.finish()
    study.assert_cells_equal(reference)
    assert_no_half_files(study)
    log = study.log_of("finetune_model", name)
    assert "is finished already" in log or "was finished by an earlier attempt" in log
    assert "resuming" not in log
    for path, before in done_before.items():
        assert path.stat().st_ino == before
    assert processes_of_job(orphan) == []


def test_a_cell_that_always_fails(study, reference):
    """The rest completes; after the mend, only that cell is computed."""
    study.narrow("[step4]", "[0]")
    file = study.results / "datasets/pocket_summary/test.jsonl"
    whole = file.read_bytes()
    replace_unnoticed(file, whole.replace(b'"gold"', b'"golt"', 1))
    study.start("--retries", "0", "--until", "evaluate_model")
    output = study.finish(succeeds=False)
    assert len(set(re.findall(r"SLURM-job '(\d+)' failed", output))) == 2
    assert len(list(study.results.glob("models/*/*"))) == 1
    store = study.results / "state/cells"
    kept = {path: path.stat().st_ino for path in store.rglob("*.parquet")}
    assert len(kept) == 2

    replace_unnoticed(file, whole)
    study.run()
    study.assert_cells_equal(reference)
    assert len(list(store.rglob("*.parquet"))) == 4
    assert all(path.stat().st_ino == before for path, before in kept.items())
    assert "2 cells, 1 of them in the store" in study.log_of("evaluate_model", "step4/base")
