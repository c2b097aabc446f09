"""What fine-tuning adds: tuned minus base."""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import Changes, with_interval
from ptft.analysis.scores import ARM, CHECKPOINT, Scores
from ptft.analysis.settings import Settings


def gains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Gain = tuned score minus base score of the same checkpoint, dataset, format and shots.

    One row a (checkpoint, arm, dataset). The interval is that of the difference, paired
    over the examples where per-example results exist. With several seeds it covers them; with one
    (``n_seeds``) it is about this one tuned model, not about the method.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().sort(*ARM, "domain", "dataset", "index")
    table = pairs.select(
        *CHECKPOINT,
        *ARM,
        "n_seeds",
        "family",
        "dataset",
        "domain",
        "kind",
        "metric",
        "format",
        "shots",
        "n",
        "chance",
        "base",
        pl.col("value").alias("tuned"),
        (pl.col("value") - pl.col("base")).alias("gain"),
    )
    return with_interval(table, Changes.of(view, pairs).estimates, settings.level)
