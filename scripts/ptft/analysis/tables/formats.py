"""How much a score depends on the prompt's format."""

from __future__ import annotations

import polars as pl

from ptft.analysis.cells import with_shots
from ptft.analysis.estimates import Estimates, difference, with_comparison
from ptft.analysis.scores import ARM, CHECKPOINT, Scores
from ptft.analysis.settings import Settings


def formats(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Score in each format, and what is lost against the format of training.

    For a base model the in-domain datasets of any task are looked at, for a tuned model those of
    its own task (domain `base` and `in`), where more than one format was evaluated.

    One row per (checkpoint, arm, dataset, format): value, gap = value - value in
    ``settings.format`` with its interval (paired), and spread = largest minus smallest value over
    the formats of that model and dataset.
    """
    table, gap = format_gaps(scores, settings)
    columns = [
        *CHECKPOINT,
        *ARM,
        "family",
        "dataset",
        "kind",
        "metric",
        "shots",
        "truncated",
        "n_seeds",
        "format",
        "value",
        "gap",
        "spread",
        "n_formats",
    ]
    return with_comparison(table.select(columns), gap, settings.level, prefix="gap_")


def format_gaps(scores: Scores, settings: Settings) -> tuple[pl.DataFrame, Estimates]:
    """Rows of :func:`formats` with every column, and their gaps."""
    own = scores.cells.filter(pl.col("domain").is_in(["base", "in"]))
    cells = with_shots(own, settings.shots, ["dataset"])
    model = ["checkpoint", *ARM, "dataset", "shots"]
    reference = cells.filter(pl.col("format") == settings.format).select(
        *model, pl.col("value").alias("reference"), pl.col("row").alias("reference_row")
    )
    table = (
        cells.join(reference, on=model, nulls_equal=True)
        .filter(pl.len().over(model) > 1)
        .with_columns(
            (pl.col("value") - pl.col("reference")).alias("gap"),
            (pl.col("value").max() - pl.col("value").min()).over(model).alias("spread"),
            pl.len().over(model).cast(pl.Int64).alias("n_formats"),
        )
        .sort("dataset", *ARM, "index", "format", nulls_last=True)
    )
    compared = scores.among(table)
    rows, references = table["row"].to_numpy(), table["reference_row"].to_numpy()
    return table, difference(compared, rows, references, same_run=True)
