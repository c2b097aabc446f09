"""Killed in the middle, started again: only what is missing is done, with the same numbers."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from .conftest import Clone, make_clone


def kill_when(clone: Clone, ready, *arguments: str, timeout: float = 120) -> None:
    """Run Snakemake, kill it and its jobs with SIGKILL as soon as ``ready()`` holds."""
    process = subprocess.Popen(
        clone.command(*arguments),
        cwd=clone.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    while not ready():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run never came to where it should be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cells(clone: Clone) -> pl.DataFrame:
    return pl.read_parquet(clone.root / "results/tiny/tables/cells.parquet")


@pytest.mark.slow
def test_kill_in_the_middle_of_evaluation(finished):
    """Finished cells are kept: the rerun scores the others only, and all tables are the same."""
    before = cells(finished)
    results = finished.root / "results/tiny"
    store = results / "state/cells"
    for path in [*results.glob("evaluations/step4/base/*"), *store.rglob("*.parquet")]:
        path.unlink()
    arguments = ["--until", "evaluate_model"]
    kill_when(finished, lambda: len(list(store.rglob("*.parquet"))) >= 3, *arguments)
    kept = {path: path.stat().st_ino for path in store.rglob("*.parquet")}
    assert not list(results.glob("evaluations/step4/base/*"))
    finished.snakemake("evaluation", "tables")
    assert all(path.stat().st_ino == inode for path, inode in kept.items())
    log = (results / "logs/evaluate_model/step4/base.log").read_text()
    assert f"18 cells, {len(kept)} of them in the store" in log
    assert cells(finished).equals(before)


@pytest.mark.slow
def test_kill_in_the_middle_of_finetuning(finished):
    """The resumed run ends with the weights of an undisturbed one, bit for bit."""
    finished.edit("study.yaml", "{epochs: 1,", "{epochs: 150, save_steps: 20,")
    arm = "results/tiny/models/step16/full.pocket_nli.s0"
    finished.snakemake(arm)
    state = finished.root / "results/tiny/state/finetune/step16/full.pocket_nli.s0"
    undisturbed = weights(finished.root / arm)
    shutil.rmtree(finished.root / arm)
    shutil.rmtree(state)
    kill_when(finished, (state / "state.pt").exists, arm)
    assert not (finished.root / arm).exists()
    finished.snakemake(arm)
    log = (
        finished.root / "results/tiny/logs/finetune_model/step16/full.pocket_nli.s0.log"
    ).read_text()
    assert "resum" in log.lower()
    assert weights(finished.root / arm) == undisturbed
    assert not (state / "state.pt").exists()


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_two_runs_give_the_same_cells(repository, tmp_path, finished):
    again = make_clone(repository, tmp_path / "again", "tiny")
    again.snakemake("tables")
    assert cells(again).equals(cells(finished))
