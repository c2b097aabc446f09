"""Does fine-tuning add more after more pre-training?"""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import Changes, flag_holes, mean_changes
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.group_gains import LINE, grouped_pairs
from ptft.analysis.tables.learning import curve_of, trend_table


def gain_trends(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How the mean gain of a group of datasets (table `group_gains`) changes over pre-training.

    One row per (group, tuned_for, method): gain_first and gain_last, the mean gains at both ends,
    and slope, that of the least-squares line through all of them, per checkpoint, with an interval
    and a p-value (slope_p) that treat the checkpoints as a sample: a t-test from their scatter
    about the line, with what the examples add to it. Checkpoints where a pair of task and dataset
    is missing are left out; slope_p is null with fewer than three.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = grouped_pairs(view, scores, settings)
    means, estimates = mean_changes(pairs, Changes.of(view, pairs), [*LINE, "index"])
    curves = (
        flag_holes(means, LINE)
        .with_columns(pl.Series("gain", estimates.values, pl.Float64))
        .with_row_index("row")
        .filter("complete")
        .sort(*LINE, "index")
        .group_by(*LINE, maintain_order=True)
        .agg(
            pl.col("datasets", "n_cells").first(),
            pl.col("n_seeds").min(),
            *curve_of("gain"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    trends = trend_table(estimates.draws, curves, settings.level)
    return pl.concat([curves.drop("index", "values", "rows"), trends], how="horizontal")
