"""The full matrix: every tuned model on every dataset."""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import Changes, with_comparison
from ptft.analysis.scores import ARM, CHECKPOINT, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import bounded_change


def cross_evaluation(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Change of every tuned model on every dataset, at every checkpoint.

    One row per (checkpoint, arm, dataset): base, tuned, difference (with its interval) and
    bounded, the relative change (tuned - base) / max(tuned, base).
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().sort("index", *ARM, "family", "dataset")
    tuned, base = pairs["value"].to_numpy(), pairs["base"].to_numpy()
    table = pairs.select(
        *CHECKPOINT,
        *ARM,
        "domain",
        "family",
        "dataset",
        "kind",
        "metric",
        "base",
        pl.col("value").alias("tuned"),
        (pl.col("value") - pl.col("base")).alias("difference"),
        pl.Series("bounded", bounded_change(tuned, base), dtype=pl.Float64),
    )
    return with_comparison(table, Changes.of(view, pairs).estimates, settings.level)
