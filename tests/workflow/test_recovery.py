"""Killed in the middle, started again: only what is missing is done, with the same numbers."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import polars as pl

from ptft.runtime.job_records import JobRecord, read_records
from tests.waiting import Stops

from .conftest import Clone


def kill_at_stop(clone: Clone, stops: Stops, *arguments: str) -> None:
    """Run Snakemake until a program stops, then kill it and its jobs with SIGKILL."""
    process = subprocess.Popen(
        clone.command(*arguments),
        cwd=clone.root,
        env=stops.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    stops.next(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def attempts(clone: Clone, job: str) -> list[JobRecord]:
    return read_records(clone.root / "results/tiny/state/jobs" / job)


def cells(clone: Clone) -> pl.DataFrame:
    return pl.read_parquet(clone.root / "results/tiny/tables/cells.parquet")


def test_kill_in_the_middle_of_evaluation(finished, tmp_path):
    """Finished cells are kept: the rerun scores the others only, and all tables are the same."""
    before = cells(finished)
    results = finished.root / "results/tiny"
    store = results / "state/cells"
    records = results.glob("state/scored/*/*.json")
    for path in [*records, *results.glob("evaluations/step4/base/*"), *store.rglob("*.parquet")]:
        path.unlink()
    stops = Stops(tmp_path / "stops", f"{store}/*.parquet", nth=3)
    kill_at_stop(finished, stops, "results/tiny/state/scored/step4/base.json")
    kept = {path: path.stat().st_ino for path in store.rglob("*.parquet")}
    assert not list(results.glob("evaluations/step4/base/*"))
    finished.snakemake("evaluation", "tables")
    assert all(path.stat().st_ino == inode for path, inode in kept.items())
    *_, killed, last = attempts(finished, "evaluate_model/step4/base")
    assert len(kept) == 3 and (killed.reused, killed.ended) == (0, None)
    assert (last.cells, last.reused, last.status) == (18, 3, 0)
    assert cells(finished).equals(before)


def test_kill_in_the_middle_of_finetuning(finished, tmp_path):
    """The resumed run ends with the weights of an undisturbed one, bit for bit."""
    finished.edit("study.yaml", "{epochs: 1,", "{epochs: 10, save_steps: 20,")
    arm = "results/tiny/models/step16/full.pocket_nli.s0"
    finished.snakemake(arm)
    state = finished.root / "results/tiny/state/finetune/step16/full.pocket_nli.s0"
    undisturbed = weights(finished.root / arm)
    shutil.rmtree(finished.root / arm)
    shutil.rmtree(state)
    kill_at_stop(finished, Stops(tmp_path / "stops", f"{state}/state.pt"), arm)
    assert not (finished.root / arm).exists()
    finished.snakemake(arm)
    *_, killed, last = attempts(finished, "finetune_model/step16/full.pocket_nli.s0")
    assert killed.ended is None and (last.resumed_from, last.status) == (20, 0)
    assert weights(finished.root / arm) == undisturbed
    assert not (state / "state.pt").exists()


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()
