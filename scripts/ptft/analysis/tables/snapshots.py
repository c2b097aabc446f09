"""Along a fine-tuning: what its snapshots have gained and forgotten, and what came after them."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.estimates import with_estimates
from ptft.analysis.scores import CHECKPOINT, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.remedies import points_of
from ptft.models.snapshots import SNAPSHOT, update_of

TRAINING = [*CHECKPOINT, "train_task", "method", "swept", "setting"]
RUN = ["checkpoint", "train_task", "method", "setting"]
MEASURES = ("gain", "kept", "later_gain", "later_kept")


def along_finetuning(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Gain and forgetting at each snapshot of a training, and what the rest of it adds.

    One row per (checkpoint, task, method, setting) and point, seeds averaged; the last point is the
    finished model, whose ``point`` is null. ``update``: how many updates had been made; ``share``
    of all. ``gain`` and ``kept`` are those of table `tradeoff`: against the checkpoint, on the
    task's own test sets and on other families. ``later_gain`` and ``later_kept``: those of the end
    less those of the point; where the gain is there and ``later_kept`` is below 0, forgetting goes
    on without it. All have paired intervals and the smallest true difference found with a power of
    80 %.
    """
    points = points_of(scores, settings)
    places = []
    found: dict[str, list[np.ndarray]] = {name: [] for name in MEASURES}
    table = _placed(points.table, scores.arms)
    for _, own in table.group_by(TRAINING, maintain_order=True):
        own = own.sort("update", "point", nulls_last=True)
        if own["point"].null_count() != 1 or len(own) < 2:
            continue
        rows = own["row"].to_list()
        gain, kept = points.gain.values[rows], points.kept.values[rows]
        places.append(own)
        for name, values in (("gain", gain), ("kept", kept)):
            later = values[-1] - values
            later[-1] = np.nan  # nothing comes after the end
            found[name].append(values)
            found[f"later_{name}"].append(later)
    made = (pl.concat(places) if places else table.clear()).drop("row")
    versions = points.gain.values.shape[1]
    for name, measured in found.items():
        whole = np.concatenate(measured) if measured else np.empty((0, versions))
        made = with_estimates(made, name, points.gain.estimates(whole), settings.level)
    return made


def exchange(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Forgetting per gain of a training, and whether lower learning rates do otherwise.

    One row per (checkpoint, task, method, setting) with snapshots, seeds averaged. ``rate``: the
    slope of the line from the checkpoint through (gain, - kept) of the snapshots and the end, least
    squares: the relative change of other families that is lost for each unit of gain.

    Of settings that differ in their learning rate alone, ``beside`` compares each with the one of
    the highest (``against``): what it keeps at its end, less what the other kept on its way where
    it had gained as much, linear between snapshots; null where it never had. An interval around 0:
    both move along the same curve, and a lower rate only stops earlier on it. All have paired
    intervals and the smallest true difference found with a power of 80 %.
    """
    points = points_of(scores, settings)
    table = _placed(points.table, scores.arms)
    rates = _learning_rates(scores.arms)
    trainings = []
    for key, own in table.group_by(TRAINING, maintain_order=True):
        own = own.sort("update", "point", nulls_last=True)
        if own["point"].null_count() == 1:
            about = dict(zip(TRAINING, key, strict=True))
            rate = rates.get(tuple(about[name] for name in RUN))
            rows = own["row"].to_list()
            trainings.append((about, rate, points.gain.values[rows], points.kept.values[rows]))
    highest: dict[tuple, tuple] = {}
    for about, rate, gain, kept in trainings:
        place = tuple(about[name] for name in RUN[:-1])
        if len(gain) > 1 and rate is not None and about["swept"] in (None, "lr"):
            highest[place] = max(
                highest.get(place, (0.0,)), (rate, about["setting"], gain, kept), key=itemgetter(0)
            )
    versions = points.gain.values.shape[1]
    unknown = np.full(versions, np.nan)
    rows, slopes, besides = [], [], []
    for about, rate, gain, kept in trainings:
        other = highest.get(tuple(about[name] for name in RUN[:-1]))
        if rate is None or about["swept"] not in (None, "lr") or other and rate >= other[0]:
            other = None
        if other is None and len(gain) == 1:
            continue
        against = other[1] if other else None
        rows.append({**about, "points": len(gain), "lr": rate, "against": against})
        slopes.append(slope_of(gain, kept) if len(gain) > 1 else unknown)
        besides.append(kept[-1] - kept_at(other[2], other[3], gain[-1]) if other else unknown)
    schema: dict[str, Any] = {name: table.schema[name] for name in TRAINING}
    schema |= {"points": pl.Int64, "lr": pl.Float64, "against": pl.String}
    made = pl.DataFrame(rows, schema)
    for name, values in (("rate", slopes), ("beside", besides)):
        estimates = points.kept.estimates(np.array(values) if values else np.empty((0, versions)))
        made = with_estimates(made, name, estimates, settings.level)
    return made


def _learning_rates(arms: pl.DataFrame | None) -> dict[tuple, float]:
    """Checkpoint, task, method and setting -> learning rate, where the arms are known."""
    if arms is None or "lr" not in arms.columns:
        return {}
    return {tuple(key): rate for *key, rate in arms.select(*RUN, "lr").rows()}


def slope_of(gain: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(V,) slope of the line through the origin by (gain, - kept), (P, V) each, least squares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -(gain * kept).sum(axis=0) / (gain**2).sum(axis=0)


def kept_at(gain: np.ndarray, kept: np.ndarray, least: np.ndarray) -> np.ndarray:
    """(V,) what a training kept where it first had gained ``least`` (V,), from the checkpoint on.

    Args:
        gain, kept: (P, V) along the training; linear between points, from (0, 0) on.

    Returns:
        NaN where it never had.
    """
    start = np.zeros((1, gain.shape[1]))
    gain, kept = np.concatenate([start, gain]), np.concatenate([start, kept])
    crosses = (gain[:-1] < least) & (gain[1:] >= least)
    at, own = np.argmax(crosses, axis=0), np.arange(gain.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        way = (least - gain[at, own]) / (gain[at + 1, own] - gain[at, own])
    between = kept[at, own] + way * (kept[at + 1, own] - kept[at, own])
    return np.where(crosses.any(axis=0), between, np.nan)


def _placed(points: pl.DataFrame, arms: pl.DataFrame | None) -> pl.DataFrame:
    """Finished models and their snapshots, numbered in ``row``, and where on the way they are."""
    lengths = {}
    if arms is not None:
        lengths = {
            tuple(key): n for *key, n in arms.select(*RUN, "n_updates").rows() if n is not None
        }
    own = points.with_row_index("row").filter(
        pl.col("derived").is_null() | (pl.col("derived") == SNAPSHOT)
    )
    updates, shares = [], []
    for *key, point in own.select(*RUN, "strength").rows():
        whole = lengths.get(tuple(key))
        update = whole
        if point is not None and (whole is not None or point >= 1):
            update = update_of(point, whole or 0)
        updates.append(update)
        shares.append(None if update is None or whole is None else update / whole)
    return own.select(
        "row",
        *TRAINING,
        pl.col("strength").alias("point"),
        pl.Series("update", updates, pl.Int64),
        pl.Series("share", shares, pl.Float64),
        "n_seeds",
        "own_datasets",
        "other_datasets",
    )
