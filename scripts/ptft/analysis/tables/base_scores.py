"""Base models over pre-training."""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import Estimates, with_interval
from ptft.analysis.scores import BASE, CHECKPOINT, Scores
from ptft.analysis.settings import Settings


def base_scores(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Score of every base checkpoint on every dataset, with its interval.

    One row per (dataset, checkpoint): value, chance (null for generation), truncated (share of the
    prompts that were cut to fit the context), stderr, ci_low, ci_high.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(BASE).sort("family", "dataset", "index")
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
        "truncated",
        "value",
    )
    scored = Estimates(base["value"].to_numpy(), view.draws[base["row"].to_numpy()])
    return with_interval(table, scored, settings.level)
