"""Format times pre-training: does a wording cost less after more pre-training?"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.formats import format_gaps
from ptft.analysis.scores import Scores, with_interval
from ptft.analysis.settings import Settings
from ptft.statistics import adjust_p_values, normal_p_values

CURVE = ["method", "train_task", "dataset", "format"]
ALL_DATASETS = "(mean over datasets)"


def format_trends(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How the gap between a format and the format of training changes over pre-training.

    One row a (method, task, dataset, format other than ``settings.format``), and the mean over
    the tasks' own test sets as dataset `(mean over datasets)`, once for each method and for the
    base models (method null); curves that lack a checkpoint are not in it. gap_first and gap_last
    are the gaps (see `formats`) at both ends.
    slope is that of the least-squares line through the gaps, per checkpoint in the order of
    pre-training: the interaction of format and pre-training; above zero, a worse format catches
    up. Its interval comes from the same line through each replicate, which are paired over
    formats and checkpoints. p: two-sided, slope / stderr against the normal distribution;
    p_adjusted: over the rows of the table that are no means (Benjamini and Hochberg, 1995).
    """
    gaps, replicates = format_gaps(scores, settings)
    gaps = gaps.with_row_index("at").filter(pl.col("format") != settings.format)
    tuned = gaps.filter(pl.col("method").is_not_null())
    own = gaps.filter(pl.col("dataset").is_in(tuned["dataset"].unique().to_list()))
    # A curve with a hole would bend the mean where it is missing.
    whole = own.filter(pl.len().over(CURVE) == gaps["index"].n_unique())
    means = whole.with_columns(
        pl.lit(ALL_DATASETS).alias("dataset"), pl.lit(None, pl.String).alias("train_task")
    )
    curves = (
        pl.concat([gaps, means])
        .sort(*CURVE, "index", nulls_last=True)
        .group_by(CURVE, maintain_order=True)
        .agg(
            pl.col("at", "index", "gap"),
            pl.col("checkpoint").n_unique().cast(pl.Int64).alias("n_checkpoints"),
            _gap_at(pl.col("index").min()).alias("gap_first"),
            _gap_at(pl.col("index").max()).alias("gap_last"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    lines = [slope_weights(index) for index in curves["index"].to_list()]
    slopes = [w @ np.array(gap) for w, gap in zip(lines, curves["gap"].to_list(), strict=True)]
    drawn = [w @ replicates[at] for w, at in zip(lines, curves["at"].to_list(), strict=True)]
    table = with_interval(
        curves.drop("at", "index", "gap").with_columns(pl.Series("slope", slopes, pl.Float64)),
        np.array(drawn),
        settings.level,
        prefix="slope_",
    )
    p = normal_p_values(table["slope"].to_numpy(), table["slope_stderr"].fill_null(np.nan))
    table = table.with_columns(pl.Series("p", p, pl.Float64).fill_nan(None))
    return table.with_columns(_adjusted(table).alias("p_adjusted"))


def slope_weights(x: list[int]) -> np.ndarray:
    """Weights w (K,) for which w @ y is the slope of the least-squares line through (x, y)."""
    centred = np.array(x, dtype=float) - np.mean(x)
    return centred / (centred @ centred)


def _gap_at(index: pl.Expr) -> pl.Expr:
    return pl.col("gap").filter(pl.col("index") == index).mean()


def _adjusted(table: pl.DataFrame) -> pl.Series:
    """Adjusted p-values of the single curves; null for means and where the error is unknown."""
    tested = (table["dataset"] != ALL_DATASETS) & table["p"].is_not_null()
    adjusted = np.full(len(table), np.nan)
    adjusted[tested.to_numpy()] = adjust_p_values(table["p"].filter(tested).to_numpy())
    return pl.Series(adjusted, dtype=pl.Float64).fill_nan(None)
