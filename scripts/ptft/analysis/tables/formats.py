"""How much a score depends on the prompt's format, and whether pre-training changes that."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.estimates import Estimates, difference, with_comparison
from ptft.analysis.scores import ARM, CHECKPOINT, Scores, once, with_shots
from ptft.analysis.settings import Settings
from ptft.analysis.tables.learning import adjusted, curve_of, trend_table


def formats(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Score in each format, and what is lost against the format of training.

    For a base model the in-domain datasets of any task are looked at, for a tuned model those of
    its own task (domain `base` and `in`), where more than one format was evaluated.

    One row per (checkpoint, arm, dataset, format): value, and gap = value - value in
    ``settings.format`` with its interval (paired).
    """
    table, gap = format_gaps(scores, settings)
    columns = [
        *(*CHECKPOINT, *ARM, "family", "dataset", "kind", "metric", "shots", "truncated"),
        *("n_seeds", "format", "value", "gap"),
    ]
    return with_comparison(table.select(columns), gap, settings.level, prefix="gap_")


@once
def format_gaps(scores: Scores, settings: Settings) -> tuple[pl.DataFrame, Estimates]:
    """Rows of :func:`formats` with every column, and their gaps."""
    own = scores.cells.filter(pl.col("domain").is_in(["base", "in"]))
    cells = with_shots(own, settings.shots, ["dataset"])
    model = ["checkpoint", *ARM, "dataset", "shots"]
    reference = cells.filter(pl.col("format") == settings.format).select(
        *model, pl.col("value").alias("reference"), pl.col("row").alias("reference_row")
    )
    table = (
        cells.join(reference, on=model, nulls_equal=True)
        .filter(pl.len().over(model) > 1)
        .with_columns(gap=pl.col("value") - pl.col("reference"))
        .sort("dataset", *ARM, "index", "format", nulls_last=True)
    )
    compared = scores.among(table)
    rows, references = table["row"].to_numpy(), table["reference_row"].to_numpy()
    return table, difference(compared, rows, references, same_run=True)


CURVE = [*ARM, "dataset", "format"]
ALL_DATASETS = "(mean over datasets)"


@once
def format_trends(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How the gap between a format and the format of training changes over pre-training.

    One row per (arm, dataset, format other than ``settings.format``), and the mean over
    the tasks' own test sets as dataset `(mean over datasets)`, once for each method and for the
    base models (method null); curves that lack a checkpoint are not in it. gap_first and gap_last
    are the gaps (see `formats`) at both ends.
    slope is that of the least-squares line through the gaps, per checkpoint in the order of
    pre-training: the interaction of format and pre-training; above zero, a worse format catches
    up. Its interval and p (two-sided) treat the checkpoints as a sample: a t-test from their
    scatter about the line, with what the examples add to it (null with fewer than three
    checkpoints). p_adjusted: over the rows of the table that are no means (Benjamini and Hochberg,
    1995).
    """
    gaps, estimates = format_gaps(scores, settings)
    gaps = gaps.with_row_index("at").filter(pl.col("format") != settings.format)
    tuned = gaps.filter(pl.col("method").is_not_null())
    own = gaps.filter(pl.col("dataset").is_in(tuned["dataset"].unique().to_list()))
    # A curve with a hole would bend the mean where it is missing.
    whole = own.filter(pl.len().over(CURVE) == gaps["index"].n_unique())
    means = whole.with_columns(
        pl.lit(ALL_DATASETS).alias("dataset"), pl.lit(None, pl.String).alias("train_task")
    )
    points = (
        pl.concat([gaps, means])
        .group_by(*CURVE, "index")
        .agg(pl.col("gap").mean(), pl.col("at"), pl.col("n_seeds").min())
        .sort(*CURVE, "index", nulls_last=True)
        .with_row_index("row")
    )
    draws = np.array([estimates.draws[at].mean(axis=0) for at in points["at"].to_list()])
    curves = (
        points.group_by(CURVE, maintain_order=True)
        .agg(pl.col("n_seeds").min(), *curve_of("gap"))
        .filter(pl.col("n_checkpoints") > 1)
    )
    trends = trend_table(draws, curves, scores.checkpoints, settings.level).rename({"slope_p": "p"})
    table = pl.concat([curves.drop("index", "values", "rows"), trends], how="horizontal")
    single = table.select(pl.when(pl.col("dataset") != ALL_DATASETS).then("p")).to_series()
    return table.with_columns(adjusted(single).alias("p_adjusted"))
