"""Latent learning: tuned scores rise over pre-training while base scores stay flat."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.scores import Scores, with_interval
from ptft.analysis.settings import Settings
from ptft.statistics import adjust_p_values, kendall_trend

CURVE = ["method", "train_task", "dataset"]


def latent(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Compare the curve of the tuned models with that of their base models.

    For every (method, task, dataset) of the task's own family: the rise from the first to the last
    checkpoint of base and tuned scores with their intervals, Kendall's tau of each curve against
    the order of checkpoints with its exact two-sided p-value, and that p-value adjusted over all
    curves of the table (Benjamini and Hochberg, 1995).

    ``latent`` is true where the tuned rise is at least ``rise_margin`` and its interval excludes
    zero while the base model rises by less than ``rise_margin``: the paper's section 5 in numbers.
    tau speaks of the shape, where few checkpoints can never give a small p-value (with 6 of them
    the smallest possible one is 0.003, with 4 it is 0.083).
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(pl.col("domain").is_in(["in", "out"])).sort(*CURVE, "index")
    curves = (
        pairs.group_by(CURVE, maintain_order=True)
        .agg(
            pl.col("domain", "family", "kind", "metric").first(),
            pl.len().cast(pl.Int64).alias("n_checkpoints"),
            pl.col("checkpoint").first().alias("first_checkpoint"),
            pl.col("checkpoint").last().alias("last_checkpoint"),
            pl.col("base").first().alias("base_first"),
            pl.col("base").last().alias("base_last"),
            pl.col("value").first().alias("tuned_first"),
            pl.col("value").last().alias("tuned_last"),
            pl.col("base").alias("base_curve"),
            pl.col("value").alias("tuned_curve"),
            pl.col("base_row").alias("base_rows"),
            pl.col("row").alias("tuned_rows"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    table = curves.select(pl.exclude("base_curve", "tuned_curve", "base_rows", "tuned_rows"))
    p_values = []
    for name in ("base", "tuned"):
        rows = np.array([(r[0], r[-1]) for r in curves[f"{name}_rows"].to_list()], dtype=int)
        rows = rows.reshape(-1, 2)
        rise = view.replicates[rows[:, 1]] - view.replicates[rows[:, 0]]
        table = with_interval(
            table.with_columns(
                (pl.col(f"{name}_last") - pl.col(f"{name}_first")).alias(f"{name}_rise")
            ),
            rise,
            settings.level,
            prefix=f"{name}_rise_",
        )
        trends = [kendall_trend(curve) for curve in curves[f"{name}_curve"].to_list()]
        table = table.with_columns(
            pl.Series(f"{name}_tau", [tau for tau, _ in trends], dtype=pl.Float64),
            pl.Series(f"{name}_p", [p for _, p in trends], dtype=pl.Float64),
        )
        p_values.append(table[f"{name}_p"].to_numpy())
    adjusted = adjust_p_values(np.concatenate(p_values)).reshape(2, -1)
    low = pl.col("tuned_rise_ci_low").fill_null(pl.col("tuned_rise"))
    return table.with_columns(
        pl.Series("base_p_adjusted", adjusted[0]),
        pl.Series("tuned_p_adjusted", adjusted[1]),
        (
            (pl.col("tuned_rise") >= settings.rise_margin)
            & (low > 0)
            & (pl.col("base_rise") < settings.rise_margin)
        ).alias("latent"),
    )
