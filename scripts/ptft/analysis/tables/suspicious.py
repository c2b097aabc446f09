"""Scores that deserve a second look before anything is concluded from them."""

from __future__ import annotations

import polars as pl

from ptft.analysis.arms import CHOSEN
from ptft.analysis.scores import ARM, CHECKPOINT, Scores
from ptft.analysis.settings import Settings

NEAR_PERFECT = 0.99
ONE_LABEL = 0.99
FAR_BELOW = 0.05
# Below this many examples two checkpoints often have the same accuracy by chance.
MANY = 1000
# Both also keep a rise from being called learning (``ptft.analysis.tables.learning``).
CONSTANT_ANSWER = pl.col("chance").is_not_null() & (pl.col("prediction_share") == 1)
BELOW_CHANCE = pl.col("value") + 2 * pl.col("stderr").fill_null(0) < pl.col("chance") - FAR_BELOW

# Flag -> what it means, for whoever reads the table.
FLAGS = {
    "near perfect untuned": (
        "a base model is right on 99 % or more, more than a constant answer would be on real "
        "labels; check the gold labels (hidden test labels?)"
    ),
    "one gold label": "99 % or more of the gold labels are the same",
    "constant answer": "the model gives the same answer to every example",
    "no variance": "every example has the same score",
    "same score twice": "exactly the same score at several checkpoints: a constant answer, or one "
    "model evaluated under two names",
    "shots cut": "most prompts lost shots to fit the context: fewer shots than stated",
    "below chance": "clearly worse than guessing: labels may be swapped",
}


def hidden_labels(suspicious: pl.DataFrame) -> list[str]:
    """Datasets of a table `suspicious` with invalid scores: their labels seem to be hidden.

    Their gold labels are all the same, or untrained models are right: the base models of the
    first checkpoint and of another one are near perfect, as a constant answer is on labels that
    a publisher has replaced by one value.
    """
    one = suspicious.filter(pl.col("flag") == "one gold label")["dataset"]
    perfect = (
        suspicious.filter(pl.col("flag") == "near perfect untuned")
        .group_by("dataset", "format", "shots")
        .agg(pl.col("index").min().alias("first"), pl.col("index").n_unique().alias("many"))
        .filter((pl.col("first") == 0) & (pl.col("many") > 1))["dataset"]
    )
    return sorted({*one, *perfect})


def suspicious(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Cells flagged from the numbers alone, in every format and number of shots.

    One row per (cell, flag); a cell may have several. ``meaning`` explains the flag (``FLAGS``).
    Without per-example results the gold labels and answers are not known, and only the flags
    that follow from scores, errors and chance are raised.
    """
    choice = pl.col("chance").is_not_null()
    cell = [*ARM, "dataset", "format", "shots", "value"]
    between = (pl.col("value") > 0) & (pl.col("value") < 1)
    fine = (pl.col("n").is_null() | (pl.col("n") >= MANY)) | ~choice
    tests = {
        "near perfect untuned": choice
        & pl.col("method").is_null()
        & (pl.col("value") >= NEAR_PERFECT),
        "one gold label": choice & (pl.col("gold_share") >= ONE_LABEL),
        "constant answer": CONSTANT_ANSWER,
        "no variance": pl.col("stderr") == 0,
        "same score twice": between & fine & (pl.col("checkpoint").n_unique().over(cell) > 1),
        "shots cut": (pl.col("shots") > 0) & (pl.col("truncated") > 0.5),
        "below chance": BELOW_CHANCE,
    }
    cells = scores.cells.filter(pl.col("setting").ne_missing(CHOSEN))
    columns = [
        *CHECKPOINT, *ARM, "domain", "family", "dataset", "kind", "format",
        "shots", "metric", "n", "chance", "value", "stderr",
    ]  # fmt: skip
    flagged = [
        cells.filter(test.fill_null(False)).select(
            *columns, pl.lit(flag).alias("flag"), pl.lit(FLAGS[flag]).alias("meaning")
        )
        for flag, test in tests.items()
    ]
    return pl.concat(flagged).sort("flag", "dataset", *ARM, "format", "shots", "index")
