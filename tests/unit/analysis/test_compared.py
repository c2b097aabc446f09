"""Studies side by side: what is joined, what is laid beside what, and the test of differences."""

import polars as pl
import pytest
from scipy.stats import norm
from score_tables import VALUES, cells

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.studies import cochran, differences, study_curves
from ptft.analysis.tables import make_table

MADE = ("base_scores", "gains", "forgetting")


def study(model="m", tokens=1000, **changes):
    """The tables of a made-up study: ``tokens`` a step, some base scores changed."""
    values = VALUES | {("base", name, "default"): scores for name, scores in changes.items()}
    table = cells(values).with_columns(model=pl.lit(model), tokens=pl.col("step") * tokens)
    scores = Scores.build(table, None)
    return {"cells": table, **{name: make_table(name, scores, Settings()) for name in MADE}}


def test_three_quantities_are_compared():
    table = study_curves({"a": study(), "b": study()})
    of_a = table.filter(pl.col("study") == "a", pl.col("step") == 100)
    base = of_a.filter(pl.col("quantity") == "base", pl.col("dataset") == "quiz")
    assert base["value"].to_list() == [0.65]
    gain = of_a.filter(pl.col("quantity") == "gain", pl.col("train_task") == "nli")
    assert gain["dataset"].to_list() == ["nli_in"]  # its own test set alone
    assert gain["value"].to_list() == [pytest.approx(0.46)]
    kept = of_a.filter(pl.col("quantity") == "kept", pl.col("dataset").str.ends_with(">generation"))
    # The one task of classification, on the one story: (0.05 - 0.20) / 0.20.
    assert kept["value"].to_list() == [pytest.approx(-0.75)]


def test_checkpoints_are_laid_side_by_side_by_tokens():
    table = study_curves(
        {"a": study(tokens=1000), "b": study(tokens=1090), "c": study(tokens=1200)}
    )
    found = table.filter(pl.col("step") == 100).select("study", "aligned").unique().sort("study")
    assert found["aligned"].to_list() == [100_000, 100_000, 120_000]
    assert differences(table)["n_studies"].unique().to_list() == [2]


def test_differences_name_the_models_and_the_spread():
    table = study_curves({"a": study(quiz=(0.25, 0.65)), "b": study(quiz=(0.25, 0.70))})
    rows = differences(table).filter(pl.col("dataset") == "quiz", pl.col("quantity") == "base")
    first, last = rows.sort("aligned").iter_rows(named=True)
    assert (first["sd"], first["q"], first["p"]) == (0, 0, 1)
    assert (last["lowest_study"], last["highest_study"]) == ("a", "b")
    assert last["mean"] == pytest.approx(0.675)
    assert last["sd"] == pytest.approx(0.05 / 2**0.5)
    # Of two values, Cochran's test is that of their difference; errors are the draws'.
    assert last["p"] == pytest.approx(2 * norm.sf(0.05 / (2**0.5 * 0.01)), rel=0.05)


def test_cochran_by_hand():
    # Weights 4, 1, 1; weighted mean 1.5; q = 4 * 0.25 + 0.25 + 2.25 * 1.
    q, p = cochran([1, 2, 3], [0.5, 1, 1])
    assert q == pytest.approx(3.5)
    assert p == pytest.approx(0.17377, abs=1e-5)  # exp(-q / 2) with two degrees of freedom
    assert cochran([1, 2], [0, 1]) == (None, None)


def test_a_checkpoint_without_tokens_is_refused():
    unknown = study()
    unknown["base_scores"] = unknown["base_scores"].with_columns(tokens=pl.lit(None, pl.Int64))
    with pytest.raises(ValueError, match="study 'b': checkpoint 'step10' has no token count"):
        study_curves({"a": study(), "b": unknown})
