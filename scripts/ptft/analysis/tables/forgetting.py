"""Forgetting: what fine-tuning on one task does to the others."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.estimates import COUNTS, Change, Changes, aggregate, flag_holes
from ptft.analysis.scores import ARM, CHECKPOINT, Scores
from ptft.analysis.settings import Settings

# Multiple choice is scored by likelihood, as classification is: one direction for both.
DIRECTION = {
    "classification": "classification",
    "multiple_choice": "classification",
    "generation": "generation",
}
ALL_TASKS = "(mean over tasks)"


def ratio_change(tuned: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(tuned - base) / base; NaN where base is 0. The term of the paper's MRC (section 6.3)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0, (tuned - base) / base, np.nan)


def bounded_change(tuned: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(tuned - base) / max(tuned, base), in [-1, 1]; 0 where both are 0.

    Equal to the paper's ratio for losses, so "30 % of ROUGE-L lost" keeps its
    meaning; a gain from near zero counts at most 1, where the ratio grows without bound (0.001
    to 0.101 is +100) and one such dataset dominates a mean.
    """
    larger = np.maximum(tuned, base)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isnan(larger) | (larger > 0), (tuned - base) / larger, 0.0)


def forgetting(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Change on the datasets a model was not tuned for, by checkpoint, task and direction.

    Three measures, each a mean over datasets d outside the task's own family:
    ``mrc``, the paper's mean ratio of change, mean_d (tuned - base) / base (section 6.3; null
    where a base score is 0); ``bounded``, mean_d (tuned - base) / max(tuned, base), see
    :func:`bounded_change`; ``difference``, mean_d (tuned - base) in points.

    One row per (checkpoint, arm, direction); direction is the kind of the task and of the
    datasets, ``classification>generation``. ``train_task`` "(mean over tasks)" averages every
    (task, dataset) pair of a direction. Intervals (prefixes mrc_, bounded_ and difference_)
    are paired over examples where there are per-example results.
    """
    view = scores.main_view(settings.format, settings.shots)
    task_kind = (
        view.cells.filter(pl.col("domain") == "in")
        .group_by("train_task")
        .agg(pl.col("kind").first().alias("task_kind"))
    )
    transfer = pl.col("dataset").is_in(settings.transfer_datasets) | (
        not settings.transfer_datasets
    )
    pairs = (
        view.pairs()
        .filter(transfer)
        .filter(pl.col("domain") == "cross")
        .join(task_kind, on="train_task", how="inner")
        .with_columns(
            pl.format(
                "{}>{}",
                pl.col("task_kind").replace_strict(DIRECTION, return_dtype=pl.String),
                pl.col("kind").replace_strict(DIRECTION, return_dtype=pl.String),
            ).alias("direction")
        )
    )
    single = _measure(view, pairs, settings)
    overall = _measure(view, pairs.with_columns(train_task=pl.lit(ALL_TASKS)), settings)
    return pl.concat([single, overall]).sort("direction", *ARM, "index")


def _measure(view: Scores, pairs: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The three measures of ``pairs``, averaged by checkpoint, arm and direction."""
    line = ["direction", *ARM]
    by = [*line, *CHECKPOINT]

    def measured(name: str, change: Change) -> pl.DataFrame:
        changes = Changes.of(view, pairs, change)
        return aggregate(pairs, name, changes, by, settings.level, prefix=f"{name}_")

    table = measured("mrc", ratio_change)
    for other in (measured("bounded", bounded_change), measured("difference", np.subtract)):
        table = table.join(other.drop(COUNTS), on=by, nulls_equal=True)
    return flag_holes(table, line)
