"""Killed in the middle, started again: only what is missing is done, with the same numbers."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import polars as pl

from ptft.evaluation.records import recorded_cells
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


RECORD = "results/tiny/state/scored/step4/base.json"


def give_up_cells(clone: Clone) -> tuple[Path, Path]:
    """Delete the scores of a base model; folders of the results and of the store of cells."""
    results = clone.root / "results/tiny"
    store = results / "state/cells"
    for name, key in recorded_cells(clone.root / RECORD).items():
        (results / "evaluations/step4/base" / name).unlink()
        (store / f"{key}.parquet").unlink()
    (clone.root / RECORD).unlink()
    return results, store


def test_kill_in_the_middle_of_evaluation(finished, tmp_path):
    """Finished cells are kept: the rerun scores the others only, and all tables are the same."""
    before = cells(finished)
    results, store = give_up_cells(finished)
    stops = Stops(tmp_path / "stops", f"{store}/*.parquet", nth=3)
    there = set(store.rglob("*.parquet"))
    kill_at_stop(finished, stops, RECORD)
    kept = {path: path.stat().st_ino for path in set(store.rglob("*.parquet")) - there}
    assert not list(results.glob("evaluations/step4/base/*"))
    finished.snakemake("tables")
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
