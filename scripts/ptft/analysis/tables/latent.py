"""Latent learning: tuned scores rise over pre-training while base scores stay flat."""

from __future__ import annotations

import polars as pl

from ptft.analysis.scores import ARM, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.learning import adjusted, curve_table

CURVE = [*ARM, "dataset"]


def latent(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Compare the curve of the tuned models with that of their base models.

    For every (arm, dataset) of the task's own family, and for base and tuned scores
    (prefixes base_ and tuned_): first and last score; their rise with its interval, which is about
    these two checkpoints; the slope of the line through all checkpoints, with an interval and a
    p-value (slope_p) that treat the checkpoints as a sample; and Kendall's tau against the order
    of checkpoints with its exact two-sided p-value (base_p, tuned_p), ties included. The p-values
    of both tests are adjusted over all curves of the table (slope_p_adjusted, p_adjusted;
    Benjamini and Hochberg, 1995).

    ``latent`` is true where the tuned curve is learned while the base curve is not: it rises by at
    least ``rise_margin``, the interval of the rise excludes zero, and guessing does not explain it
    (see `groups`): the paper's section 5 in numbers.

    Both tests' null is that the checkpoints are exchangeable; a slowly wandering score passes
    for a trend, and to tau so do examples that turn easier or harder one after the other
    (docs/analysis.md). tau depends on the order only, and few checkpoints can never give a small
    p-value (with 6 of them the smallest possible one is 0.003, with 4 it is 0.083).
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(pl.col("domain").is_in(["in", "out"])).sort(*CURVE, "index")
    curves = (
        pairs.group_by(CURVE, maintain_order=True)
        .agg(
            pl.col("domain", "family", "kind", "metric", "format", "shots").first(),
            pl.col("n_seeds").min(),
            pl.len().cast(pl.Int64).alias("n_checkpoints"),
            pl.col("checkpoint").first().alias("first_checkpoint"),
            pl.col("checkpoint").last().alias("last_checkpoint"),
            pl.col("base_row").alias("base"),
            pl.col("row").alias("tuned"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    tables = [
        curve_table(view, curves[which].to_list(), settings)
        .rename({"tau_p": "p"})
        .select(pl.all().name.prefix(f"{which}_"))
        for which in ("base", "tuned")
    ]
    table = pl.concat([curves.drop("base", "tuned"), *tables], how="horizontal")
    return table.with_columns(
        *_adjusted(table, "p"),
        *_adjusted(table, "slope_p"),
        (pl.col("tuned_learned") & ~pl.col("base_learned")).alias("latent"),
    )


def _adjusted(table: pl.DataFrame, test: str) -> list[pl.Series]:
    """P-values of a test of the base and the tuned curves, adjusted for all of them."""
    found = adjusted(pl.concat([table[f"base_{test}"], table[f"tuned_{test}"]]))
    half = len(table)
    return [
        found[:half].alias(f"base_{test}_adjusted"),
        found[half:].alias(f"tuned_{test}_adjusted"),
    ]
