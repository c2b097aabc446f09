"""Base models over pre-training."""

from __future__ import annotations

import polars as pl

from ptft.analysis.scores import CHECKPOINT, Scores, with_interval
from ptft.analysis.settings import Settings


def base_scores(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Few-shot score of every base checkpoint on every dataset, with its interval.

    One row a (dataset, checkpoint): value, chance (null for generation), stderr, ci_low, ci_high.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(pl.col("method").is_null()).sort("family", "dataset", "index")
    table = base.select(
        "family",
        "dataset",
        "kind",
        "metric",
        "format",
        "shots",
        *CHECKPOINT,
        "n",
        "chance",
        "value",
    )
    return with_interval(table, view.replicates[base["row"].to_numpy()], settings.level)
