"""Gain against what is kept: fronts, and methods compared at equal gain.

Tables `tradeoff`, `equal_gain` and `remedy_trends`.

Shapes: ``P`` points (models), ``V`` versions of the data: the estimate, then draws, then one per
training seed. Functions treat all versions alike, so that results for the estimate get intervals
from the draws, with thresholds computed in each draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import (
    DETECTABLE,
    INTERVAL,
    Change,
    Changes,
    Estimates,
    SeedPart,
    with_estimates,
)
from ptft.analysis.scores import CHECKPOINT, Scores, once
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import POWER, small_sample_quantile
from ptft.analysis.tables.forgetting import bounded_change
from ptft.analysis.tables.learning import curve_of, trend_table
from ptft.analysis.tuned_models import CHOSEN
from ptft.models.snapshots import SNAPSHOT


@dataclass(frozen=True)
class Versions:
    """P quantities in V versions each."""

    values: np.ndarray
    """(P, V)"""
    draws: int
    """number of versions, from the second on, that are draws; the rest are training seeds"""

    @classmethod
    def of(cls, values: np.ndarray, draws: np.ndarray, by_seed: np.ndarray) -> Versions:
        """From (P,) estimates, (P, R) draws and (P, S) scores by seed."""
        return cls(np.concatenate([values[:, None], draws, by_seed], axis=1), draws.shape[1])

    def estimates(self, found: np.ndarray) -> Estimates:
        """Functions (N, V) of these quantities as estimates; NaN draws do not count."""
        draws, seeds = np.split(found[:, 1:], [self.draws], axis=1)
        draws = np.array([_without_gaps(row) for row in draws]).reshape(draws.shape)
        return Estimates(found[:, 0], draws, SeedPart.of(seeds))


def _without_gaps(draws: np.ndarray) -> np.ndarray:
    """Draws (R,) with known ones repeated in place of NaN; all NaN if none is known."""
    known = draws[~np.isnan(draws)]
    return np.resize(known, len(draws)) if 0 < len(known) < len(draws) else draws


def on_front(gain: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(P,) whether no other point has as much of one and more of the other; (P,) each."""
    as_good = (gain >= gain[:, None]) & (kept >= kept[:, None])
    better = (gain > gain[:, None]) | (kept > kept[:, None])
    return np.logical_not((as_good & better).any(axis=1))


@dataclass(frozen=True)
class Path:
    """The models that one method offers, as rows of P points."""

    points: Sequence[int]
    links: Sequence[tuple[int, int]] = ()
    """pairs between which every mixture exists (interpolated weights)"""


def most_kept(gain: np.ndarray, kept: np.ndarray, path: Path, least: np.ndarray) -> np.ndarray:
    """The most that a path keeps at a gain of at least ``least``.

    Between two linked points both quantities are assumed linear, so the best is at one of them or
    where the line crosses ``least``.

    Args:
        gain, kept: (P, V).
        least: (V,)

    Returns:
        (V,) NaN if the path does not reach that gain.
    """
    values, reaches = _candidates(gain, kept, path, least)
    most = np.where(reaches, values, -np.inf).max(axis=0)
    return np.where(np.isfinite(most), most, np.nan)


def _candidates(
    gain: np.ndarray, kept: np.ndarray, path: Path, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Kept part of each point and link of a path, and whether it gains enough: (K, V).

    A link is where its line crosses ``least``, NaN where it does not.
    """
    values = [kept[row] for row in path.points]
    reaches = [gain[row] >= least for row in path.points]
    for one, other in path.links:
        with np.errstate(divide="ignore", invalid="ignore"):
            way = (least - gain[one]) / (gain[other] - gain[one])
        crosses = (way > 0) & (way < 1)
        way = np.where(crosses, way, 0.0)
        values.append(np.where(crosses, kept[one] + way * (kept[other] - kept[one]), np.nan))
        reaches.append(crosses)
    return np.array(values), np.array(reaches)


def chosen(gain: np.ndarray, kept: np.ndarray, path: Path, least: np.ndarray) -> np.ndarray:
    """Kept part of the candidates of a path that the estimate may choose from: (K, V).

    Those that gain enough by the estimate, in all versions, whether or not they gain enough there.
    """
    values, reaches = _candidates(gain, kept, path, least)
    return values[reaches[:, 0]]


def limits_of_best(candidates: np.ndarray, draws: int, level: float) -> tuple[float, float, float]:
    """Limits of the best of K candidates less its estimate, and the smallest difference found.

    The best of several noisy candidates looks better than it is. So the limits hold for all
    candidates at once: in each draw the error of the candidate that errs most, downwards for the
    lower and upwards for the upper limit (single-step maximum test; Hothorn, Bretz and Westfall,
    2008). They also hold for a largest of smallest; for one candidate they are the percentiles of
    its draws, further out where these rest on few seeds.

    Args:
        candidates: (K, V); NaN where a version has no such candidate.
        draws: number of versions that are draws.
    """
    from scipy.special import ndtri

    errors, by_seed = np.split(candidates[:, 1:] - candidates[:, :1], [draws], axis=1)
    if not len(candidates) or np.isnan(errors).all(axis=1).any():
        return np.nan, np.nan, np.nan
    tail, seeds = (1 - level) / 2, SeedPart.of(by_seed)
    spread = np.nanstd(errors, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(seeds.variance / spread**2)
    wider = small_sample_quantile(tail, share, seeds.freedom) / small_sample_quantile(
        tail, 0, np.inf
    )
    errors = wider[:, None] * errors
    low = float(np.nanquantile(np.fmin.reduce(errors), tail))
    high = float(np.nanquantile(np.fmax.reduce(errors), 1 - tail))
    return low, high, -low + float(ndtri(POWER) * spread.max())


def best_gain(gain: np.ndarray, path: Path) -> np.ndarray:
    """The largest gain of a path (V,)."""
    return gain[list(path.points)].max(axis=0)


def gain_of_all(gain: np.ndarray, paths: Iterable[Path], margin: float) -> np.ndarray:
    """The gain (V,) that every path reaches: the lowest best gain of a path, minus ``margin``."""
    return np.min([best_gain(gain, path) for path in paths], axis=0) - margin


# What was done to a checkpoint, apart from the task and the seed.
VARIANT = ["method", "swept", "setting", "derived", "strength"]
POINT = [*CHECKPOINT, "train_task", *VARIANT]
# Every method has a learning rate: to choose it is no method of its own.
RATE = "lr"
INTERPOLATE = "interpolate"


@dataclass(frozen=True)
class Points:
    """P tuned models, seeds averaged, in the order of ``POINT``."""

    table: pl.DataFrame
    """(P) columns ``POINT``, n_seeds, own_datasets, other_datasets"""
    gain: Versions
    """tuned minus base, mean over the task's own test sets"""
    kept: Versions
    """bounded change (``bounded_change``), mean over the datasets of other families: 0 for all,
    -1 for nothing"""

    def groups(self) -> Iterator[tuple[dict, list[int]]]:
        """Each checkpoint and task: its columns, and its points."""
        by = [*CHECKPOINT, "train_task"]
        yield from (
            self.table.with_row_index("point")
            .group_by(by, maintain_order=True)
            .agg("point")
            .sort("train_task", "index")
            .select(pl.struct(by), "point")
            .iter_rows()
        )

    def take(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Gain and kept (P, V) of points, with the base model as a last one."""
        base = np.zeros((1, self.gain.values.shape[1]))
        gain, kept = self.gain.values[rows], self.kept.values[rows]
        return np.concatenate([gain, base]), np.concatenate([kept, base])

    def paths(self, rows: list[int]) -> dict[tuple, Path]:
        """(method, swept, derived) -> its path over points of one checkpoint and task.

        Points count within ``rows``; the base model is the one after the last. Interpolated models
        lie between the base and the tuned model that they are made of, snapshots on the way to it.
        """
        members: dict[tuple, dict[str | None, dict[float | None, int]]] = {}
        for point, row in enumerate(rows):
            method, swept, setting, derived, strength = self._variants[row]
            key = method, None if swept == RATE else swept, derived
            members.setdefault(key, {}).setdefault(setting, {})[strength] = point
        found = {}
        for (method, swept, derived), lines in members.items():
            points = [at for line in lines.values() for at in line.values()]
            links: list[tuple[int, int]] = []
            if derived == INTERPOLATE:
                tuned = members.get((method, swept, None), {})
                points = []
                for setting, line in lines.items():
                    ends = {0.0: len(rows)}
                    if setting in tuned:
                        ends[1.0] = tuned[setting][None]
                    ordered = [at for _, at in sorted((ends | line).items())]
                    points += ordered
                    links += zip(ordered, ordered[1:], strict=False)
            elif derived == SNAPSHOT:  # whoever may stop early may go on to the end, too
                points += [
                    line[None]
                    for setting, line in members.get((method, swept, None), {}).items()
                    if setting in lines
                ]
            found[method, swept, derived] = Path(list(dict.fromkeys(points)), links)
        return found

    @cached_property
    def _variants(self) -> list[tuple]:
        return self.table.select(VARIANT).rows()


@once
def points_of(scores: Scores, settings: Settings) -> Points:
    """The models that have scores on their own task and on another family."""
    view = scores.main_view(settings.format, settings.shots)
    tuned = pl.col("train_task").is_not_null() & pl.col("setting").ne_missing(CHOSEN)
    pairs = view.pairs().filter(tuned)
    chosen = settings.transfer_datasets
    other = pairs.filter(
        (pl.col("domain") == "cross") & (pl.col("dataset").is_in(chosen) | (not chosen))
    )
    own = pairs.filter(pl.col("domain") == "in")
    known = own.join(other, on=POINT, how="semi", nulls_equal=True)
    gains, gain = mean_points(view, known, np.subtract)
    others = other.join(own, on=POINT, how="semi", nulls_equal=True)
    keeps, kept = mean_points(view, others, bounded_change)
    table = gains.with_columns(
        pl.min_horizontal("n_seeds", keeps["n_seeds"]),
        pl.col("datasets").alias("own_datasets"),
        keeps["datasets"].alias("other_datasets"),
    ).drop("datasets")
    return Points(table, gain, kept)


def mean_points(view: Scores, pairs: pl.DataFrame, change: Change) -> tuple[pl.DataFrame, Versions]:
    """The mean change of each point over its datasets, and what was averaged."""
    changes = Changes.of(view, pairs, change)
    groups = (
        pairs.with_columns(pl.int_range(pl.len()).alias("position"))
        .group_by(POINT)
        .agg(
            pl.col("position"),
            pl.col("n_seeds").min(),
            pl.col("dataset").unique().sort().str.join(" ").alias("datasets"),
        )
        .sort("train_task", "index", *VARIANT, nulls_last=False)
    )

    def mean(values: np.ndarray) -> np.ndarray:
        empty = values[:0]
        rows = [values[at].mean(axis=0) for at in groups["position"].to_list()]
        return np.array(rows) if rows else empty

    parts = mean(changes.values), mean(changes.draws), mean(changes.by_seed)
    versions = Versions.of(*parts)
    return groups.drop("position"), versions


def tradeoff(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Every tuned model's gain on its task and what it keeps on other families.

    One row per (checkpoint, task, method, setting, derivation, strength), seeds averaged. ``gain``
    is the mean of tuned minus base over the task's own test sets; ``kept`` the mean bounded change,
    (tuned - base) / max(tuned, base), over the datasets of other families: 0 is all, -1 nothing.
    ``front``: no other model of this checkpoint and task, the base model (0, 0) included, has as
    much of one and more of the other.

    Both have paired intervals and the smallest true difference found with a power of 80 % (suffix
    ``_detectable``).
    """
    points = points_of(scores, settings)
    front = np.ones(len(points.table), dtype=bool)
    for _, rows in points.groups():
        gain, kept = points.take(rows)
        front[rows] = on_front(gain[:, 0], kept[:, 0])[:-1]
    table = points.table
    for name, part in (("gain", points.gain), ("kept", points.kept)):
        estimates = part.estimates(part.values)
        table = with_estimates(table, name, estimates, settings.level)
    return table.with_columns(front=pl.Series(front))


REFERENCE = ("full", None, None)
"""path that others are compared with: full fine-tuning at any learning rate"""


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
    rates do not make a method. ``enough`` is the gain that every method reaches, i.e. the worst
    method's best, less ``gain_margin``. In each resample it is found again, and so is the best
    model. Limits cover the choice of the best model, of the method and of full fine-tuning
    (:func:`limits_of_best`), and which gain enough.

    One row per (checkpoint, task, method): ``kept`` at that gain (as in table `tradeoff`), and
    ``spared`` = kept less that of full fine-tuning, each with its interval.
    ``spared_detectable``: the smallest true difference found with a power of 80 %.
    """
    points = points_of(scores, settings)
    rows = [_row(one, points.gain.draws, settings.level) for one in compared(points, settings)]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))


@dataclass(frozen=True)
class Compared:
    """One method at the gain that all reach.

    Attributes:
        row: of :func:`equal_gain`, less kept and spared.
        kept, spared: (V,)
        own, others: (K, V) what candidates of the method, and of full fine-tuning, keep.
        reference_gain: the best of full fine-tuning.
    """

    row: dict
    kept: np.ndarray
    spared: np.ndarray
    own: np.ndarray
    others: np.ndarray
    reference_gain: float


def compared(points: Points, settings: Settings) -> Iterator[Compared]:
    """The methods at each checkpoint and task; nothing without full fine-tuning."""
    for key, numbers in points.groups():
        gain, kept = points.take(numbers)
        paths = points.paths(numbers)
        if REFERENCE not in paths or len(paths) < 2:
            continue
        enough = gain_of_all(gain, paths.values(), settings.gain_margin)
        reference = most_kept(gain, kept, paths[REFERENCE], enough)
        others = chosen(gain, kept, paths[REFERENCE], enough)
        best = best_gain(gain, paths[REFERENCE])[0]
        told = {"enough": enough[0], "n_seeds": points.table["n_seeds"][numbers].min()}
        for name, path in paths.items():
            row = key | dict(zip(("method", "swept", "derived"), name, strict=True)) | told
            most = most_kept(gain, kept, path, enough)
            own = chosen(gain, kept, path, enough)
            yield Compared(row, most, most - reference, own, others, best)


def _row(one: Compared, draws: int, level: float) -> dict:
    row = dict(one.row)
    pairs = (one.own[:, None] - one.others).reshape(-1, one.own.shape[1])
    for name, whole, candidates in (
        ("kept", one.kept, one.own),
        ("spared", one.spared, pairs),
    ):
        low, high, least = limits_of_best(candidates, draws, level)
        # Which models gain enough is found again in each draw: limits cover that, too.
        found = Versions(whole[None], draws).estimates(whole[None]).interval(level)
        stderr, lowest, highest = (float(part[0]) for part in found)
        ends = np.minimum(whole[0] + low, lowest), np.maximum(whole[0] + high, highest)
        told = zip((*INTERVAL, DETECTABLE), (stderr, *ends, least), strict=True)
        row |= {name: whole[0]} | {f"{name}_{part}": value for part, value in told}
    return row


SCHEMA = schema(
    *(*CHECKPOINT, "train_task", "method", "swept", "derived", "enough", "n_seeds"),
    *("kept", *(f"kept_{end}" for end in INTERVAL)),
    *("spared", *(f"spared_{end}" for end in (*INTERVAL, DETECTABLE))),
)
"""against nothing kept there is no difference to be found"""


LINE = ["train_task", "method", "swept", "derived"]


@once
def remedy_trends(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How the forgetting that a method spares at equal gain changes over pre-training.

    One row per (task, method): spared_first and spared_last, at the earliest and the latest
    checkpoint at which methods are compared, n_checkpoints of these, and slope, that of the
    least-squares line per checkpoint, with an interval and a p-value that treat the checkpoints as
    a sample (as in table `gain_trends`; null with fewer than three).
    """
    points = points_of(scores, settings)
    found = [(one.row, one.spared) for one in compared(points, settings)]
    spared = [versions for _, versions in found]
    schema = {**dict.fromkeys(LINE, pl.String), "index": pl.Int64}
    curves = (
        pl.DataFrame([row for row, _ in found], schema=schema)
        .with_columns(spared=pl.Series([row[0] for row in spared], dtype=pl.Float64))
        .with_row_index("row")
        .filter(pl.col("spared").is_not_nan())
        .filter(~is_reference())
        .sort(*LINE, "index")
        .group_by(LINE, maintain_order=True)
        .agg(*curve_of("spared"))
        .filter(pl.col("n_checkpoints") > 1)
    )
    draws = np.array([row[1 : 1 + points.gain.draws] for row in spared])
    trends = trend_table(draws, curves, scores.checkpoints, settings.level)
    return pl.concat([curves.drop("index", "values", "rows"), trends], how="horizontal")
