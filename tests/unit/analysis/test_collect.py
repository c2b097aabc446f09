"""Collection of per-example files into cells."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from synthetic_scores import collect, study_slice, write_evaluations

from ptft.analysis.cell_scores import (
    calibration_error,
    probability_metrics,
)
from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.paths import cell_path


@pytest.fixture
def study(tmp_path):
    slice_ = study_slice(formats=("default",))
    write_evaluations(slice_, tmp_path)
    return slice_


def row(cells, **wanted):
    found = cells.filter(pl.all_horizontal(pl.col(k) == v for k, v in wanted.items()))
    assert len(found) == 1
    return found.row(0, named=True)


def test_cells(study, tmp_path):
    collected = collect(study, tmp_path)
    assert dict(collected.cells.schema) == CELLS_SCHEMA
    # 3 checkpoints x (base + 2 arms) x 4 datasets, main metric and the extra one.
    assert len(collected.cells) == 3 * 3 * 4 * 2
    assert collected.cells["main"].sum() == 36
    counted = dict(collected.replicates.group_by("metric").len().iter_rows())
    assert counted == {"accuracy": 18, "acc_norm": 9, "rougeL": 9}
    assert collected.missing.is_empty()
    found = row(collected.cells, checkpoint="main", arm="full.nli.s0", dataset="nli_in", main=True)
    assert found | {"stderr": 0, "ci_low": 0, "ci_high": 0} == {
        "study": "made_up",
        "model": "tiny",
        "checkpoint": "main",
        "step": None,
        "tokens": None,
        "arm": "full.nli.s0",
        "method": "full",
        "train_task": "nli",
        "swept": None,
        "setting": None,
        "seed": 0,
        "derived": None,
        "strength": None,
        "family": "nli",
        "dataset": "nli_in",
        "domain": "in",
        "kind": "classification",
        "format": "default",
        "shots": 4,
        "metric": "accuracy",
        "value": 0.8,
        "stderr": 0,
        "ci_low": 0,
        "ci_high": 0,
        "n": 200,
        "chance": pytest.approx(1 / 3),
        "main": True,
        "truncated": 0.0,
    }
    assert found["stderr"] == pytest.approx(np.sqrt(0.8 * 0.2 / 200), rel=0.1)
    assert found["ci_low"] < 0.8 < found["ci_high"]
    half = row(
        collected.cells, checkpoint="main", arm="full.nli.s0", dataset="nli_in", metric="half"
    )
    assert half["value"] == pytest.approx(0.4)
    assert not half["main"] and half["chance"] is None


def test_missing_files_are_listed(study, tmp_path):
    gone = Path(cell_path(tmp_path, "main", "base", "quiz", "default", 4))
    gone.unlink()
    collected = collect(study, tmp_path)
    assert collected.missing.rows() == [("main", "base", "quiz", "default", 4, str(gone))]
    assert len(collected.replicates) == 35


def test_a_cell_listed_twice_is_refused(study, tmp_path):
    twice = study | {"scores": [*study["scores"], study["scores"][0]]}
    with pytest.raises(ValueError, match="'dataset': 'nli_in'.*listed 2 times"):
        collect(twice, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.with_columns(example_id=pl.lit("a")), "an example occurs twice"),
        (lambda f: f.with_columns(score=pl.lit(None, pl.Float64)), "200 examples have no usable"),
        (lambda f: f.with_columns(score=pl.lit(float("nan"))), r"the first is nan"),
        (lambda f: f.clear(), "no example in it"),
    ],
)
def test_broken_files_are_named(study, tmp_path, spoil, message):
    path = Path(cell_path(tmp_path, "main", "base", "quiz", "default", 4))
    spoil(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(ValueError, match=message) as caught:
        collect(study, tmp_path)
    assert str(path) in str(caught.value)


def test_order_of_a_file_does_not_matter(study, tmp_path):
    before = collect(study, tmp_path)
    path = Path(cell_path(tmp_path, "main", "full.nli.s0", "nli_in", "default", 4))
    pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=1).write_parquet(path)
    after = collect(study, tmp_path)
    assert after.replicates.equals(before.replicates)


def test_cells_with_other_examples_are_kept_apart(study, tmp_path, caplog):
    path = Path(cell_path(tmp_path, "main", "full.nli.s0", "nli_in", "default", 4))
    pl.read_parquet(path).head(150).write_parquet(path)
    collected = collect(study, tmp_path)
    found = row(collected.cells, checkpoint="main", arm="full.nli.s0", dataset="nli_in", main=True)
    assert found["n"] == 150 and found["value"] == 1.0
    assert "nli_in: cells hold different examples ([150, 200])" in caplog.text
    # Nothing to compare with: its base model answered other examples.
    kept = row(collected.replicates, checkpoint="main", arm="full.nli.s0", dataset="nli_in")
    assert kept["gained"] is None


def test_audit(study, tmp_path):
    collected = collect(study, tmp_path)
    cell = {"checkpoint": "main", "arm": "full.nli.s0", "dataset": "nli_in"}
    kept = row(collected.replicates, **cell)
    # The three labels take turns; of 200 the first two have 67. The last 40 answers are the next
    # label, so that the first is given 54 + 13 times.
    assert (kept["gold_labels"], kept["gold_share"]) == (3, 0.335)
    assert (kept["predictions"], kept["prediction_share"]) == (3, 0.335)
    assert kept["prompt_tokens"] == 10.0
    # 68 right before (0.34), 160 after, none of them lost.
    assert (kept["gained"], kept["lost"]) == (pytest.approx(92 / 200), 0.0)


def test_what_probabilities_of_answers_say_by_hand():
    third = np.log([1 / 4, 1 / 4, 1 / 4])  # the labels hold 3/4 of the probability
    logprobs = pl.Series([np.log([0.5, 0.25, 0.25]).tolist(), third.tolist(), [-4.0, -1.0]])
    found = probability_metrics(logprobs, np.array([0, 2, -1]))
    assert found["gold_probability"][:2] == pytest.approx([0.5, 1 / 3])
    assert found["brier"][:2] == pytest.approx([0.25 + 2 * 0.0625, (2 / 3) ** 2 + 2 / 9])
    assert found["gold_bits"][:2] == pytest.approx([1.0, 2.0])
    assert found["confidence"][:2] == pytest.approx([0.5, 1 / 3])
    assert all(np.isnan(values[2]) for values in found.values())  # no right answer is known
    # Bin of .9: three of four right, confidence .95; bin of .5: none of one, .55.
    error = calibration_error(np.array([0.95] * 4 + [0.55]), np.array([1, 1, 1, 0, 0.0]))
    assert error == pytest.approx((4 * 0.2 + 0.55) / 5)


def test_probabilities_of_labels_are_metrics_of_their_cells(tmp_path):
    study = study_slice(formats=("default",))
    write_evaluations(study, tmp_path)
    study["datasets"]["nli_in"]["labels"] = ["a", "b", "c"]
    for file in tmp_path.rglob("nli_in.default.4shot.parquet"):
        frame = pl.read_parquet(file)
        masses = pl.Series("label_mass", [0.004] * len(frame))
        # The model is as sure of b as of c, and not at all of a.
        logprobs = pl.Series("logprobs", [[-1e9, -5.0, -5.0]] * len(frame))
        gold = pl.Series("gold", ["abc"[at % 3] for at in range(len(frame))])
        frame.with_columns(masses, logprobs, gold).write_parquet(file)
    collected = collect(study, tmp_path)
    cell = collected.cells.filter(checkpoint="main", arm="base", dataset="nli_in")
    value = dict(cell.select("metric", "value").iter_rows())
    assert value["gold_probability"] == pytest.approx(0.5 * 133 / 200)  # 67 of 200 are a
    assert value["brier"] == pytest.approx((67 * 1.5 + 133 * 0.5) / 200)
    assert value["label_mass"] == pytest.approx(0.004)
    right = 68 / 200
    assert value["calibration_error"] == pytest.approx(abs(right - 0.5), abs=0.01)
    errors = cell.filter(metric="calibration_error")
    assert errors["stderr"].null_count() == 1 and not errors["main"][0]
    scores = Scores.build(collected.cells, collected.replicates)
    flagged = make_table("suspicious", scores, Settings()).filter(flag="unlikely labels")
    assert set(flagged["dataset"]) == {"nli_in"} and len(flagged) == 9
    table = make_table("base_scores", scores, Settings())
    assert set(table.filter(dataset="nli_in")["label_mass"].round(6)) == {0.004}
    assert table.filter(dataset="quiz")["label_mass"].null_count() == 3
