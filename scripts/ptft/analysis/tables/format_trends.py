"""Format times pre-training: does a wording cost less after more pre-training?"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.scores import ARM, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.formats import format_gaps
from ptft.analysis.tables.learning import adjusted, curve_of, trend_table

CURVE = [*ARM, "dataset", "format"]
ALL_DATASETS = "(mean over datasets)"


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
    trends = trend_table(draws, curves, settings.level).rename({"slope_p": "p"})
    table = pl.concat([curves.drop("index", "values", "rows"), trends], how="horizontal")
    single = table.select(pl.when(pl.col("dataset") != ALL_DATASETS).then("p")).to_series()
    return table.with_columns(adjusted(single).alias("p_adjusted"))
