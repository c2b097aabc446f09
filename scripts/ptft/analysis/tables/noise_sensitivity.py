"""How much noise on the weights costs, by checkpoint."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.estimates import Estimates, SeedPart, with_interval
from ptft.analysis.scores import BASE, CHECKPOINT, Scores
from ptft.analysis.settings import Settings

NOISE = "noise"


def noise_sensitivity(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Change of a base model's score per unit of noise on its weights.

    Noise of strength g adds to each weight matrix a normal error of g times the standard deviation
    of the matrix. One row per (checkpoint, dataset): ``sensitivity`` is the slope of the line
    through the origin of (strength, noised minus base), least squares over the strengths, in points
    per unit of strength, with its paired interval; seeds are averaged, and the interval covers them
    where there are several. ``strengths``: those that the line goes through; ``largest_change``:
    the change at the strongest. Scores that noise has brought to chance can fall no further: keep
    the strengths small.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(BASE).select("checkpoint", "dataset", pl.col("row").alias("base_row"))
    noised = view.cells.filter(
        pl.col("method").is_null(), pl.col("derived") == NOISE, pl.col("strength") > 0
    )
    groups = (
        noised.join(base, on=["checkpoint", "dataset"])
        .sort("dataset", "index", "strength")
        .group_by(*CHECKPOINT, "dataset", maintain_order=True)
        .agg(
            pl.col("family", "kind", "metric", "base_row").first(),
            pl.col("n_seeds").min(),
            pl.col("strength").alias("_strengths"),
            pl.col("row").alias("_rows"),
        )
    )
    slopes, changes = [], []
    for row in groups.iter_rows(named=True):
        strengths, rows = np.array(row["_strengths"]), np.array(row["_rows"])
        slope, change = _slope(view, strengths, rows, row["base_row"])
        slopes.append(slope)
        changes.append(change)
    table = groups.select(
        *CHECKPOINT,
        "dataset",
        "family",
        "kind",
        "metric",
        "n_seeds",
        pl.col("_strengths").cast(pl.List(pl.String)).list.join(" ").alias("strengths"),
        pl.Series("largest_change", changes, pl.Float64),
        pl.Series("sensitivity", [float(slope.values[0]) for slope in slopes], pl.Float64),
    )
    return with_interval(table, _together(slopes), settings.level)


def _slope(
    view: Scores, strengths: np.ndarray, rows: np.ndarray, base_row: int
) -> tuple[Estimates, float]:
    """Slope through the origin, and the change at the strongest."""
    weights = strengths / (strengths @ strengths)
    values = np.nanmean(view.by_seed[rows], axis=1) - np.nanmean(view.by_seed[base_row])
    draws = view.draws[rows] - view.draws[base_row]
    by_seed = view.by_seed[rows] - np.nanmean(view.by_seed[base_row])
    slope = Estimates(
        np.array([weights @ values]),
        (weights @ draws)[None],
        SeedPart.of((weights @ by_seed)[None]),
    )
    return slope, float(values[-1])


def _together(parts: list[Estimates]) -> Estimates:
    """Estimates, one below another."""
    seeds = [part.seeds for part in parts if part.seeds is not None]
    if not parts:
        return Estimates(np.empty(0), np.empty((0, 0)))
    return Estimates(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.draws for part in parts]),
        SeedPart(
            np.concatenate([part.variance for part in seeds]),
            np.concatenate([part.freedom for part in seeds]),
        ),
    )
