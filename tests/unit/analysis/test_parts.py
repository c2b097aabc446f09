"""Parts of a collection: the same tables however the study grew, and nothing read twice."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from synthetic_scores import add_text, collect, study_slice, write_evaluations

from ptft.analysis import cell_scores
from ptft.analysis.collect import Parts, find_cells
from ptft.paths import cell_path

MODELS = 3 * 3
CELLS = MODELS * 5


@pytest.fixture
def study(tmp_path):
    """3 checkpoints x (base and 2 arms) x 5 datasets, one of them text."""
    slice_ = study_slice(formats=("default",))
    write_evaluations(slice_, tmp_path / "all", n=50)
    return add_text(slice_, tmp_path / "all")


@pytest.fixture
def read(monkeypatch):
    """Models whose files are read, in the order of reading."""
    seen = []

    def reading(paths, *args):
        seen.extend((path.parent.parent.name, path.parent.name) for path in paths)
        return real(paths, *args)

    real = cell_scores.read_aligned
    monkeypatch.setattr(cell_scores, "read_aligned", reading)
    return seen


def of(study, evaluations) -> Parts:
    return Parts(study, find_cells(study, evaluations), evaluations, evaluations / "parts")


def tables(study, evaluations) -> tuple[int, pl.DataFrame, bytes]:
    """How many models were read, the cells, and the file of the replicates."""
    made = of(study, evaluations)
    number = made.refresh()
    made.write_replicates(evaluations / "replicates.parquet")
    return number, made.cells(), (evaluations / "replicates.parquet").read_bytes()


def test_a_study_that_grew_has_the_tables_of_one_that_is_collected_at_once(
    study, tmp_path, monkeypatch
):
    number, cells, replicates = tables(study, tmp_path / "all")
    assert number == MODELS
    monkeypatch.setattr("ptft.analysis.collect.CELLS_AT_ONCE", 1)  # each model for itself
    grown = tmp_path / "grown"
    for step, (checkpoint, arms, models) in enumerate(
        [
            ("main", ["base"], 1),
            ("step10", ["base", "full.nli.s0"], 2),
            ("main", ["full.nli.s0"], 1),
        ]
    ):
        for arm in arms:
            shutil.copytree(tmp_path / "all" / checkpoint / arm, grown / checkpoint / arm)
        number, some, _ = tables(study, grown)
        assert number == models, step
        assert len(some.filter("main")) == [5, 15, 20][step]
        there = some.select("checkpoint", "arm").unique()
        assert some.equals(
            cells.join(there, on=["checkpoint", "arm"], how="semi", maintain_order="left")
        )
    for folder in (tmp_path / "all").glob("*/*"):
        if folder.parent.name in study["checkpoints"]:
            shutil.copytree(
                folder, grown / folder.relative_to(tmp_path / "all"), dirs_exist_ok=True,
                copy_function=copy_new,
            )  # fmt: skip
    number, same, same_replicates = tables(study, grown)
    assert number == MODELS - 4
    assert same.equals(cells)
    assert same_replicates == replicates
    at_once = collect(study, grown)
    assert at_once.cells.equals(cells)
    assert at_once.replicates.equals(pl.read_parquet(grown / "replicates.parquet"))


def copy_new(source, target):
    if not Path(target).exists():
        shutil.copy2(source, target)


def test_a_new_checkpoint_reads_its_own_files_alone(study, tmp_path, read):
    few = study | {"checkpoints": {k: study["checkpoints"][k] for k in ("step10", "step100")}}
    assert of(few, tmp_path / "all").refresh() == 6
    read.clear()
    assert of(study, tmp_path / "all").refresh() == 3
    assert {checkpoint for checkpoint, _ in read} == {"main"}
    assert len(read) == 3 * 5
    read.clear()
    assert of(study, tmp_path / "all").refresh() == 0
    assert read == []


def test_a_part_is_made_again_when_what_it_was_made_from_changes(study, tmp_path, read):
    folder = tmp_path / "all"
    of(study, folder).refresh()
    # An arm's own file: it is read again, beside its base, whose part stays.
    own = Path(cell_path(folder, "main", "full.nli.s0", "quiz", "default", 4))
    frame = pl.read_parquet(own)
    frame.with_columns(score=pl.lit(0.0)).write_parquet(own)
    read.clear()
    number, cells, _ = tables(study, folder)
    assert number == 1
    assert set(read) == {("main", "full.nli.s0"), ("main", "base")}
    key = {"checkpoint": "main", "arm": "full.nli.s0", "dataset": "quiz", "metric": "acc_norm"}
    assert cells.filter(**key)["value"].to_list() == [0.0]
    # The base: what tuned models gained and lost is counted against it.
    base = Path(cell_path(folder, "main", "base", "quiz", "default", 4))
    pl.read_parquet(base).with_columns(score=pl.lit(1.0)).write_parquet(base)
    assert of(study, folder).refresh() == 3
    quiz = pl.read_parquet(folder / "parts/main/full.nli.s0.parquet").filter(
        dataset="quiz", metric="acc_norm"
    )
    assert quiz["lost"].to_list() == [1.0]
    # A file that is gone, and other resamples.
    own.unlink()
    number, cells, _ = tables(study, folder)
    assert (number, len(cells.filter("main"))) == (1, CELLS - 1)
    other = study | {"bootstrap": {"resamples": 100, "seed": 0}}
    assert of(other, folder).refresh() == MODELS


def test_a_study_with_fewer_models_leaves_the_others_out(study, tmp_path):
    of(study, tmp_path / "all").refresh()
    few = study | {"checkpoints": {"main": study["checkpoints"]["main"]}}
    number, cells, _ = tables(few, tmp_path / "all")
    assert number == 0
    assert cells["checkpoint"].unique().to_list() == ["main"]
