"""What each tuned model gains, and what it keeps."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.estimates import with_interval
from ptft.analysis.points import Points
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tradeoff import on_front


def tradeoff(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Every tuned model's gain on its task against what it keeps of the others.

    One row a (checkpoint, task, method, setting, derivation, strength), seeds averaged. ``gain`` is
    the mean of tuned minus base over the task's own test sets; ``kept`` the mean bounded change,
    (tuned - base) / max(tuned, base), over the datasets of other families: 0 is all, -1 nothing.
    Both have their paired intervals. ``front``: no other model of this checkpoint and task, the
    base model (0, 0) included, has as much of one and more of the other; ``front_share``: the share
    of the resamples in which that is so.
    """
    points = Points.of(scores, settings)
    fronts = np.ones((len(points.table), points.gain.draws + 1), dtype=bool)
    for _, rows in points.groups():
        gain, kept = points.take(rows)
        fronts[rows] = on_front(gain, kept)[:-1, : fronts.shape[1]]
    table = points.table
    for name, part in (("gain", points.gain), ("kept", points.kept)):
        estimates = part.estimates(part.values)
        table = table.with_columns(pl.Series(name, estimates.values, pl.Float64))
        table = with_interval(table, estimates, settings.level, prefix=f"{name}_")
    return table.with_columns(
        pl.Series("front", fronts[:, 0]),
        pl.Series("front_share", fronts[:, 1:].mean(axis=1), pl.Float64),
    )
