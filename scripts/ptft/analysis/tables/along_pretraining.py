"""Tuned and noised models along pre-training, each setting by itself."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.arms import CHOSEN
from ptft.analysis.estimates import with_interval
from ptft.analysis.points import mean_points
from ptft.analysis.scores import BASE, CHECKPOINT, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.noise_sensitivity import NOISE
from ptft.analysis.tables.overtraining import MEASURES

NOISED = "noised score"
SETTING = ["train_task", "method", "swept", "setting", "derived", "strength"]


def along_pretraining(scores: Scores, settings: Settings) -> pl.DataFrame:
    """The scores that table `overtraining` compares, by checkpoint.

    One row per (checkpoint, task, method, setting, measure): ``value`` is the mean over
    ``datasets`` of that measure, with the interval over examples and, if there are several, seeds;
    ``fixed`` is false under the setting "(chosen)", the one that validation chooses at each
    checkpoint. Rows of the measure "noised score" have no task: the mean score of base models on
    all datasets with noise on their weights, by strength (table `noise_sensitivity`), and without
    noise.
    """
    view = scores.main_view(settings.format, settings.shots)
    tuned = view.pairs().filter(pl.col("train_task").is_not_null(), pl.col("derived").is_null())
    parts = [
        _means(view, tuned.filter(pl.col("domain") == domain), measure, change, settings.level)
        for measure, (domain, change) in MEASURES.items()
    ]
    noised = _noised(view)
    parts.append(_means(view, noised, NOISED, lambda score, base: score, settings.level))
    return pl.concat(parts)


def _noised(view: Scores) -> pl.DataFrame:
    """Base models with noise, and without it on the datasets that noised ones are scored on."""
    base = view.cells.filter(BASE).select(
        "checkpoint", "dataset", pl.col("value").alias("base"), pl.col("row").alias("base_row")
    )
    noisy = view.cells.filter(pl.col("method").is_null(), pl.col("derived") == NOISE)
    pairs = noisy.join(base, on=["checkpoint", "dataset"])
    still = pairs.unique(["checkpoint", "dataset"], maintain_order=True).with_columns(
        strength=pl.lit(0.0),
        value="base",
        row="base_row",
        n_seeds=pl.lit(1, pairs.schema["n_seeds"]),
    )
    return pl.concat([still, pairs.filter(pl.col("strength") > 0)], how="diagonal_relaxed")


def _means(view: Scores, pairs: pl.DataFrame, measure: str, change, level: float) -> pl.DataFrame:
    """One measure of all models."""
    means, versions = mean_points(view, pairs, change)
    table = means.select(
        *CHECKPOINT,
        *SETTING,
        pl.lit(measure).alias("measure"),
        (pl.col("setting").ne_missing(pl.lit(CHOSEN))).alias("fixed"),
        pl.col("n_seeds").cast(pl.Int64),
        "datasets",
        pl.Series("value", versions.values[:, 0] if len(means) else [], pl.Float64),
    )
    values = versions.values if len(means) else np.empty((0, 1))
    return with_interval(table, versions.estimates(values), level)
