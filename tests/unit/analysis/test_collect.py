"""Collection of per-example files into cells."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from slice_files import slice_file
from synthetic_scores import study_slice, write_evaluations

import collect_cells
from ptft.analysis.cell_scores import AGAINST_BASE, domain_of
from ptft.analysis.collect import CELLS_SCHEMA, collect
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


def scored(replicates):
    """Those of the scores themselves."""
    return replicates.filter(~pl.col("metric").is_in(AGAINST_BASE))


def numbers(found):
    """The replicates of a row."""
    return np.frombuffer(found["replicates"], "<f4")


def test_cells(study, tmp_path):
    collected = collect(study, tmp_path)
    assert dict(collected.cells.schema) == CELLS_SCHEMA
    # 3 checkpoints x (base + 2 arms) x 4 datasets, main metric and the extra one; and, against the
    # base model, answers on 2 and 3 datasets of other families, 3 of 4 datasets have choices.
    against = {"same_answer": 3 * (2 + 3), "gained": 3 * 2 * 3}
    assert len(collected.cells) == 3 * 3 * 4 * 2 + sum(against.values())
    assert collected.cells["main"].sum() == 36
    counted = dict(collected.replicates.group_by("metric").len().iter_rows())
    assert counted == against | {"accuracy": 18, "acc_norm": 9, "rougeL": 9}
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


def test_replicates_are_paired_and_independent_of_other_cells(study, tmp_path):
    everything = collect(study, tmp_path).replicates
    fewer = study | {"scores": study["scores"][:1]}
    alone = collect(fewer, tmp_path).replicates
    assert alone.equals(everything.filter(pl.col("dataset") == "nli_in"))


def test_domains(study):
    assert domain_of(None, "quiz", study) == "base"
    assert domain_of("nli", "nli_in", study) == "in"
    assert domain_of("nli", "nli_out", study) == "out"
    assert domain_of("nli", "story_in", study) == "cross"


def test_missing_files_are_listed(study, tmp_path):
    gone = Path(cell_path(tmp_path, "main", "base", "quiz", "default", 4))
    gone.unlink()
    collected = collect(study, tmp_path)
    assert collected.missing.rows() == [("main", "base", "quiz", "default", 4, str(gone))]
    assert len(scored(collected.replicates)) == 35


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


def test_program(study, tmp_path):
    out = tmp_path / "tables"
    collect_cells.main(
        [
            "--study",
            slice_file(out / "slice.json", study),
            "--evaluations",
            str(tmp_path),
            "--output",
            str(out / "cells.parquet"),
            "--csv",
            str(out / "cells.csv"),
            "--replicates",
            str(out / "replicates.parquet"),
            "--missing",
            str(out / "missing.csv"),
        ]
    )
    cells = pl.read_parquet(out / "cells.parquet")
    assert cells["main"].sum() == 36
    assert pl.read_csv(out / "cells.csv")["value"].to_list() == cells["value"].to_list()


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
    kept = row(scored(collected.replicates), **cell)
    # The three labels take turns; of 200 the first two have 67. The last 40 answers are the next
    # label, so that the first is given 54 + 13 times.
    assert (kept["gold_labels"], kept["gold_share"]) == (3, 0.335)
    assert (kept["predictions"], kept["prediction_share"]) == (3, 0.335)
    assert kept["prompt_tokens"] == 10.0
    # 68 right before (0.34), 160 after, none of them lost.
    assert (kept["gained"], kept["lost"]) == (pytest.approx(92 / 200), 0.0)
    # Its replicates are those of the difference, as none is lost.
    base = row(scored(collected.replicates), **cell | {"arm": "base"})
    gained = row(collected.replicates, **cell, metric="gained")
    by_hand = np.subtract(numbers(kept), numbers(base))
    assert numbers(gained) == pytest.approx(by_hand, abs=1e-6)


def test_equal_answers_are_counted_on_other_families(study, tmp_path):
    collected = collect(study, tmp_path)
    cell = {"checkpoint": "main", "arm": "full.nli.s0"}
    same = row(collected.cells, **cell, dataset="quiz", metric="same_answer")
    # 120 right before, 116 after: the 4 between alone are answered otherwise.
    assert (same["value"], same["n"], same["main"]) == (0.98, 200, False)
    own = collected.cells.filter(pl.col("dataset") == "nli_in", pl.col("arm") == "full.nli.s0")
    assert "same_answer" not in own["metric"]
