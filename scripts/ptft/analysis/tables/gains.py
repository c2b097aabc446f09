"""What fine-tuning adds: tuned minus base."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.draws import Derived
from ptft.analysis.estimates import Changes, Estimates, SeedPart, with_comparison, with_interval
from ptft.analysis.scores import ARM, CHECKPOINT, Scores
from ptft.analysis.settings import Settings


def gains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Gain = tuned score minus base score of the same checkpoint, dataset, format and shots.

    One row per (checkpoint, arm, dataset). ci_low and ci_high are the interval of the
    difference, paired over the examples where per-example results exist; base_ci_low, tuned_ci_low
    and so on are that of each score by itself. With several seeds they cover them; with one
    (``n_seeds``) they are about this one tuned model, not about the method. detectable: the
    smallest true gain that would be found, i.e. whose interval excludes zero, with a power of 80 %.
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
    table = with_comparison(table, Changes.of(view, pairs).estimates, settings.level)
    for name, row in (("base", "base_row"), ("tuned", "row")):
        table = _with_own_interval(table, view, pairs[row].to_numpy(), name, settings.level)
    return table


def _with_own_interval(
    table: pl.DataFrame, view: Scores, rows: np.ndarray, name: str, level: float
) -> pl.DataFrame:
    """Add the interval of the score ``name``, row by row in ``rows`` of ``view``."""
    draws = Derived((len(rows), view.draws.shape[1]), lambda at: view.draws[rows[at]])
    scores = Estimates(table[name].to_numpy(), draws, SeedPart.of(view.by_seed[rows]))
    # A score is between 0 and 1; where few seeds widen it, its interval is, too.
    limits = pl.col(f"{name}_ci_low", f"{name}_ci_high").clip(0, 1)
    return with_interval(table, scores, level, f"{name}_").with_columns(limits)
