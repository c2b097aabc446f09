"""Methods compared where they gain the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from ptft.analysis.estimates import DETECTABLE, INTERVAL, with_comparison
from ptft.analysis.points import Points
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tradeoff import (
    Versions,
    best_gain,
    gain_of_all,
    most_kept,
    reduction,
)

REFERENCE = ("full", None, None)
"""path that others are compared with: full fine-tuning at any learning rate"""
TARGETS = ("every method's", "most of full fine-tuning's")
ADDED = ("kept", "spared", "reduction")


def is_reference() -> pl.Expr:
    """Whether a row with columns method, swept and derived is of full fine-tuning."""
    return pl.all_horizontal(
        pl.col(name).eq_missing(pl.lit(value, pl.String))
        for name, value in zip(("method", "swept", "derived"), REFERENCE, strict=True)
    )


def equal_gain(scores: Scores, settings: Settings) -> pl.DataFrame:
    """The most that each method keeps among its models that gain enough.

    A method is a (method, swept settings, derivation), with its settings and strengths to choose
    from; along interpolated weights, gain and kept are linear between two strengths. Learning
    rates do not make a method. ``enough`` is, by ``target``: the gain that every method
    reaches, i.e. the worst method's best, less ``gain_margin``; or ``gain_share`` of the best gain
    of full fine-tuning, which a method may miss (``reached`` false). In each resample it is found
    again, and so is the best model.

    One row per (checkpoint, task, target, method): ``kept`` at that gain (as in table `tradeoff`),
    ``spared`` = kept less that of full fine-tuning, ``reduction`` = the share of full fine-tuning's
    forgetting that is spared (null where it forgets nothing), each with its interval; null where
    fewer than ``level`` of the resamples reach the gain, of which ``reached_share`` is the share.
    ``spared_detectable``: the smallest true difference found with a power of 80 %.
    ``at``: index of the model among the method's; a fraction lies between two models.
    """
    points = Points.of(scores, settings)
    return _table(*compared(points, settings), points.gain.draws, settings.level)


def compared(points: Points, settings: Settings) -> tuple[list[dict], dict[str, list[np.ndarray]]]:
    """Rows of :func:`equal_gain` without ``ADDED``, and of each row all versions (V,) of these."""
    rows: list[dict] = []
    found: dict[str, list[np.ndarray]] = {name: [] for name in ADDED}
    for key, numbers in points.groups():
        gain, kept = points.take(numbers)
        seeds = points.table["n_seeds"][numbers].min()
        for row, versions in _compared(points, numbers, gain, kept, settings):
            rows.append(key | row | {"n_seeds": seeds})
            for name in ADDED:
                found[name].append(versions[name])
    return rows, found


def _compared(
    points: Points, numbers: list[int], gain: np.ndarray, kept: np.ndarray, settings: Settings
) -> Iterator[tuple[dict, dict[str, np.ndarray]]]:
    """Of one checkpoint and task, each target and method; nothing without full fine-tuning."""
    paths = points.paths(numbers)
    if REFERENCE not in paths or len(paths) < 2:
        return
    full = best_gain(gain, paths[REFERENCE])
    enough = {
        TARGETS[0]: gain_of_all(gain, paths.values(), settings.gain_margin),
        TARGETS[1]: settings.gain_share * full,
    }
    for target, least in enough.items():
        reference, _ = most_kept(gain, kept, paths[REFERENCE], least)
        for (method, swept, derived), path in paths.items():
            most, at = most_kept(gain, kept, path, least)
            draws = slice(1, 1 + points.gain.draws)
            row = {
                "target": target,
                "method": method,
                "swept": swept,
                "derived": derived,
                "enough": least[0],
                "best_gain": best_gain(gain, path)[0],
                "reached": bool(np.isfinite(most[0])),
                "reached_share": float(np.isfinite(most[draws]).mean()),
                "at": None if np.isnan(at[0]) else at[0],
            }
            yield (
                row,
                {
                    "kept": most,
                    "spared": most - reference,
                    "reduction": reduction(most, reference),
                },
            )


def _table(
    rows: list[dict], found: dict[str, list[np.ndarray]], draws: int, level: float
) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=SCHEMA)
    for name, versions in found.items():
        whole = np.array(versions) if versions else np.empty((0, 1 + draws))
        known = np.isfinite(whole[:, 1 : 1 + draws]).mean(axis=1) >= level
        estimates = Versions(whole, draws).estimates(whole)
        table = table.with_columns(pl.Series(name, estimates.values, pl.Float64).fill_nan(None))
        table = with_comparison(table, estimates, level, prefix=f"{name}_")
        limits = [f"{name}_{limit}" for limit in (*INTERVAL, DETECTABLE)]
        table = table.with_columns(
            pl.when(pl.Series(known)).then(pl.col(limit)).alias(limit) for limit in limits
        )
    # Against nothing kept, and as a share, there is no difference to be found.
    return table.drop(f"kept_{DETECTABLE}", f"reduction_{DETECTABLE}")


SCHEMA = {
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "index": pl.Int64,
    "train_task": pl.String,
    **dict.fromkeys(["target", "method", "swept", "derived"], pl.String),
    **dict.fromkeys(["enough", "best_gain"], pl.Float64),
    "reached": pl.Boolean,
    **dict.fromkeys(["reached_share", "at"], pl.Float64),
    "n_seeds": pl.Int64,
}
