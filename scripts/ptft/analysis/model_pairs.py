"""Tuned models against their base model, and against each other, in every prompt format."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ptft.analysis.estimates import Changes, difference, with_interval
from ptft.analysis.scores import ARM, CHECKPOINT, METHOD, Scores
from ptft.analysis.settings import Settings

# Models are compared that share these and one of checkpoint and method.
SHARED = ["train_task", "dataset", "format", "shots"]
# Pairs whose draws are held at once.
CHUNK = 2000


@dataclass(frozen=True)
class ModelPairs:
    """Comparisons that a reader can choose from.

    ``tuned``: one row per checkpoint, arm, dataset and format, numbered in ``model``: base, tuned,
    difference with its interval, and the shares of examples that score higher (gained) and lower
    (lost) than with the base model, null without per-example results.

    ``pairs``: one row per pair of these that differ in checkpoint or method, not both: the numbers
    ``first`` < ``second``, difference = tuned of first - tuned of second, and its interval.
    """

    tuned: pl.DataFrame
    pairs: pl.DataFrame


def model_pairs(scores: Scores, settings: Settings) -> ModelPairs:
    """Compare every tuned model with its base model and with similar tuned models."""
    formats = scores.cells.filter(pl.col("method").is_not_null())["format"].unique().sort()
    tables = [_against_base(scores, settings, name) for name in formats]
    if not tables:
        return ModelPairs(pl.DataFrame(), pl.DataFrame())
    tuned = pl.concat(tables).with_row_index("model")
    pairs = [_differ(part, tuned, scores, settings) for part in _similar(tuned).iter_slices(CHUNK)]
    return ModelPairs(tuned.drop("row"), pl.concat(pairs) if pairs else pl.DataFrame())


def _against_base(scores: Scores, settings: Settings, format_name: str) -> pl.DataFrame:
    """The rows of one format."""
    view = scores.main_view(format_name, settings.shots)
    pairs = view.pairs().sort("index", *ARM, "family", "dataset")
    table = pairs.select(
        *CHECKPOINT, *ARM, "domain", "family", "dataset", "metric", "format", "shots", "n",
        "n_seeds", "base", pl.col("value").alias("tuned"),
        (pl.col("value") - pl.col("base")).alias("difference"), "gained", "lost", "row",
    )  # fmt: skip
    return with_interval(table, Changes.of(view, pairs).estimates, settings.level)


def _similar(tuned: pl.DataFrame) -> pl.DataFrame:
    """Numbers of the pairs that differ only in the checkpoint, or only in the method."""
    keys = ["checkpoint", *METHOD]
    rows = tuned.select("model", *SHARED, *keys)
    others = rows.rename({name: f"other_{name}" for name in ("model", *keys)})
    pairs = rows.join(others, on=SHARED).filter(pl.col("model") < pl.col("other_model"))
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"other_{name}")) for name in METHOD)
    kept = pairs.filter(same | (pl.col("checkpoint") == pl.col("other_checkpoint")))
    return kept.select(
        pl.col("model").cast(pl.Int64).alias("first"),
        pl.col("other_model").cast(pl.Int64).alias("second"),
    ).sort("first", "second")


def _differ(
    pairs: pl.DataFrame, tuned: pl.DataFrame, scores: Scores, settings: Settings
) -> pl.DataFrame:
    """Add the difference of each pair, with its interval."""
    rows = tuned["row"].to_numpy()
    first, second = (rows[pairs[name].to_numpy()] for name in ("first", "second"))
    between = difference(scores, first, second, same_run=False)
    table = pairs.with_columns(pl.Series("difference", between.values, dtype=pl.Float64))
    return with_interval(table, between, settings.level)
