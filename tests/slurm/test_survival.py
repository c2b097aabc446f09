"""What dies overnight: each failure ends in a finished study with the tables of a quiet night."""

import os
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
    for name in TRAININGS:
        *struck, last = study.records("finetune_model")[name]
        assert struck and last.status == 0 and last.resumed_from >= 1


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

    def second_waits():
        last = study.records("finetune_model")[name][-1]
        return last.slurm_job != orphan and last.waiting_for

    wait_until(second_waits, 240, "a second job at the same training")
    kill(process, signal.SIGCONT)
    study.finish()
    study.assert_cells_equal(reference)
    assert_no_half_files(study)
    first, second = study.records("finetune_model")[name]
    assert (first.slurm_job, first.status, first.reused) == (orphan, 0, 0)
    assert (second.status, second.reused, second.resumed_from) == (0, 1, None)
    evaluations = [record for done in study.records("evaluate_model").values() for record in done]
    assert sum(record.cells - record.reused for record in evaluations) == 2 * 2
    for path, before in done_before.items():
        assert path.stat().st_ino == before
    wait_until(lambda: not processes_of_job(orphan), 60, "the end of the orphan")


def test_a_cell_that_always_fails(study, reference):
    """The rest completes; after the mend, only that cell is computed."""
    study.narrow("[step4]", "[0]")
    file = study.results / "datasets/pocket_summary/test.jsonl"
    whole = file.read_bytes()
    replace_unnoticed(file, whole.replace(b'"gold"', b'"golt"', 1))
    study.start("--retries", "0", "--until", "evaluate_model")
    study.finish(succeeds=False)
    attempts = study.records("evaluate_model")
    assert [record.status for records in attempts.values() for record in records] == [1, 1]
    assert len(list(study.results.glob("models/*/*"))) == 1
    store = study.results / "state/cells"
    kept = {path: path.stat().st_ino for path in store.rglob("*.parquet")}
    assert len(kept) == 2

    replace_unnoticed(file, whole)
    study.run()
    study.assert_cells_equal(reference)
    assert len(list(store.rglob("*.parquet"))) == 4
    assert all(path.stat().st_ino == before for path, before in kept.items())
    for records in study.records("evaluate_model").values():
        assert [(record.cells, record.reused) for record in records] == [(2, 0), (2, 1)]
