"""When pre-training could have stopped, as far as a fine-tuning task is concerned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import Estimates, SeedPart, difference
from ptft.analysis.scores import ARM, Scores
from ptft.analysis.settings import Settings

CURVE = [*ARM, "dataset"]
# A margin that is a larger share of the last score than this can't tell a loss from none.
LARGE_MARGIN = 0.2


@dataclass(frozen=True)
class StopPoint:
    """Where a curve could have stopped, as positions in it."""

    stop: int
    """Earliest point from which on no score is more than the margin below the last one."""
    support: float | None
    """Share of draws in which that still holds for ``stop``; None if no error is known."""
    safe: int | None
    """Earliest point for which it holds with the confidence asked for."""


def stop_point(
    curve: np.ndarray,
    draws: np.ndarray,
    margin: float,
    level: float,
    seeds: SeedPart | None = None,
) -> StopPoint:
    """Find the earliest point of a curve that is as good as its end, up to a margin.

    ``safe`` is a sequence of non-inferiority tests from the last point backwards: the last one is
    as good as itself, the one before it counts if the lower one-sided ``level`` bound of (its
    score - last score) is at least -margin, and so on until the first that does not. Testing in a
    fixed order and stopping at the first failure keeps the chance of any wrong claim at 1 - level
    without a correction (Maurer, Hothorn and Lehmacher, 1995). The claim is about the checkpoints
    as they are; it does not cover variation between pre-training runs.

    Args:
        curve: (K,) scores from the first to the last checkpoint.
        draws: (K, R) replicates of them, paired; NaN where no error is known.
        margin: how much may be lost, in points of the score.
        level: confidence of ``safe``.
        seeds: part of the training seeds in each score minus the last.
    """
    last = len(curve) - 1
    stop = last
    while stop > 0 and curve[stop - 1] >= curve[last] - margin:
        stop -= 1
    differences = draws - draws[last]
    if np.isnan(differences).any():
        return StopPoint(stop, None, None)
    holds = (differences[stop:] >= -margin).all(axis=0)
    estimates = Estimates(curve - curve[last], differences, seeds)
    _, bounds, _ = estimates.interval(level, two_sided=False)
    safe = last
    while safe > 0 and bounds[safe - 1] >= -margin:
        safe -= 1
    return StopPoint(stop, float(holds.mean()), safe)


def stopping(scores: Scores, settings: Settings) -> pl.DataFrame:
    """For every task, the checkpoint from which more pre-training adds at most the margin.

    One row per (arm, dataset of its own test sets): the stop by the scores as they are, its
    support, the stop that holds with confidence ``level`` (see :func:`stop_point`), and the share
    of the tokens that each saves, null where a checkpoint's count is not known (`main` often).
    ``too_low``: the margin is more than a fifth of the last score, so such a row gives no verdict.
    """
    view = scores.main_view(settings.format, settings.shots)
    tokens = dict(view.checkpoints.select("checkpoint", "tokens").iter_rows())
    pairs = view.pairs().filter(pl.col("domain") == "in").sort(*CURVE, "index")
    rows = []
    for key, curve in pairs.group_by(CURVE, maintain_order=True):
        if len(curve) < 2:
            continue
        found = _find(view, curve, settings)
        at = curve["checkpoint"].to_list()
        row = dict(zip(CURVE, key, strict=True)) | {
            "metric": curve["metric"][0],
            "format": curve["format"][0],
            "shots": curve["shots"][0],
            "n_seeds": curve["n_seeds"].min(),
            "margin": settings.stop_margin,
            "n_checkpoints": len(at),
            "last_checkpoint": at[-1],
            "last_score": curve["value"][-1],
            "too_low": settings.stop_margin > LARGE_MARGIN * curve["value"][-1],
            "stop_checkpoint": at[found.stop],
            "stop_index": curve["index"][found.stop],
            "stop_score": curve["value"][found.stop],
            "stop_support": found.support,
            "safe_checkpoint": None if found.safe is None else at[found.safe],
            "safe_index": None if found.safe is None else curve["index"][found.safe],
        }
        for which in ("stop", "safe"):
            stop, whole = tokens.get(row[f"{which}_checkpoint"]), tokens[at[-1]]
            saved = (whole - stop) / whole if stop is not None and whole else None
            row[f"{which}_share_saved"] = saved
        rows.append(row)
    return pl.DataFrame(rows, schema=SCHEMA)


SCHEMA = schema(
    *CURVE,
    *("metric", "format", "shots", "n_seeds", "margin", "n_checkpoints", "last_checkpoint"),
    *("last_score", "too_low", "stop_checkpoint", "stop_index", "stop_score", "stop_support"),
    *("safe_checkpoint", "safe_index"),
    *("stop_share_saved", "safe_share_saved"),
    **dict.fromkeys(["last_checkpoint", "stop_checkpoint", "safe_checkpoint"], pl.String),
    **dict.fromkeys(["stop_index", "safe_index"], pl.Int64),
    too_low=pl.Boolean,
)


def _find(view: Scores, curve: pl.DataFrame, settings: Settings) -> StopPoint:
    rows = curve["row"].to_numpy()
    last = np.full(len(rows), rows[-1])
    return stop_point(
        curve["value"].to_numpy(),
        view.draws[rows],
        settings.stop_margin,
        settings.level,
        difference(view, rows, last, same_run=False).seeds,
    )
