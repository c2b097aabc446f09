"""Trends of a curve over K checkpoints, and its scatter.

The points of a curve scatter about its line for two reasons: checkpoints (training goes up and
down) and test examples. Either alone understates the error of a slope.

Shapes: ``K`` checkpoints, ``R`` draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb, sqrt

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from ptft.analysis.statistics import (
    LEVEL,
    small_sample_p,
    small_sample_quantile,
    smallest_detectable,
)

# Two checkpoints are nearly the same if one has fewer than 1 % more tokens.
SAME = 1.01


@dataclass(frozen=True)
class Trend:
    """Slope of the least-squares line through a curve; NaN if unknown."""

    slope: float
    stderr: float
    low: float
    high: float
    p: float
    """two-sided, of the null that the slope is 0"""
    detectable: float
    """smallest true slope that the test would find with 80 % power"""
    examples: float = np.nan
    """part of the error that the choice of examples alone explains; no test of many slopes may
    count on less: among many curves some lie on a line by luck"""


def line_trend(
    x: ArrayLike, y: ArrayLike, draws: np.ndarray | None = None, level: float = LEVEL
) -> Trend:
    """Slope of the line through (x, y), with the t-test that treats the checkpoints as random.

    The model is y_k = a + b x_k + u_k + e_k: u_k is the checkpoint's own scatter, independent
    between checkpoints, and e the error from the test examples, with the covariance S of ``draws``
    over checkpoints. The variance of the slope w'y is

        |w|^2 RSS / (K - 2)  +  max(0, w'S w - |w|^2 tr(M S) / (K - 2)),

    with M the projection on the residuals. The first term is that of the residual t-test: all that
    scatters independently about the line. The second is what residuals cannot show: examples that
    rise or fall themselves make the line of *these* examples steeper or flatter and leave no
    residual. It is zero for errors that are equally correlated over checkpoints. The first term
    has K - 2 degrees of freedom, the second counts as known
    (``ptft.analysis.statistics.small_sample_quantile``).

    A random walk of the checkpoints breaks the independence and can look like a trend. How often,
    and how often a true null is rejected, is in docs/analysis.md under "Measured coverage"
    (``benchmarks/coverage.py``).

    Args:
        x: (K,) positions of the checkpoints.
        y: (K,) the curve.
        draws: (K, R) replicates of its points, paired; None or NaN if no error is known.
        level: of the interval.

    Returns:
        With fewer than three checkpoints only the slope, since no scatter can be estimated.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    weights = slope_weights(x)
    slope, free = float(weights @ (y - y[0])), len(x) - 2
    if free < 1:
        return Trend(slope, *[np.nan] * 5)
    size = weights @ weights
    residuals = y - y.mean() - slope * (x - x.mean())
    scatter = size * (residuals @ residuals) / free
    examples = excess = 0.0
    if draws is not None and not np.isnan(draws).any():
        covariance = np.cov(draws)
        examples = max(0.0, weights @ covariance @ weights)  # rounding can leave -1e-20
        fitted = covariance.sum() / len(x) + examples / size
        excess = max(0.0, examples - size * (np.trace(covariance) - fitted) / free)
    if scatter <= 1e-12 * max(examples, slope**2):  # all points on a line: no scatter to go by
        scatter, excess = 0.0, examples
    variance = scatter + excess
    if variance == 0:
        return Trend(slope, 0.0, slope, slope, float(slope == 0), 0.0, 0.0)
    error, share = np.sqrt(variance), scatter / variance
    reach = error * small_sample_quantile((1 - level) / 2, share, free)
    p = small_sample_p(slope / error, share, free)
    least = float(smallest_detectable(error, level, share, free))
    low, high = float(slope - reach), float(slope + reach)
    return Trend(slope, float(error), low, high, p, least, float(np.sqrt(examples)))


@dataclass(frozen=True)
class Axis:
    """Where the checkpoints of a study, in the order of pre-training, are on the axes of trends."""

    places: np.ndarray
    """(C,) positions; two checkpoints with nearly the same tokens have one"""
    log_tokens: np.ndarray
    """(C,) decimal logarithm of their tokens; NaN where it is not known"""

    @classmethod
    def of(cls, checkpoints: pl.DataFrame) -> Axis:
        """From the columns step and tokens; where tokens are missing, steps tell what is near."""
        tokens = checkpoints["tokens"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        steps = checkpoints["step"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        seen = steps if np.isnan(tokens).any() else tokens
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = ~(seen[1:] < SAME * seen[:-1])  # one without a number is apart from all
            log_tokens = np.log10(tokens)
        places = np.concatenate([[0], np.cumsum(apart)]).astype(int)[: len(seen)]
        return cls(places, np.where(np.isfinite(log_tokens), log_tokens, np.nan))


@dataclass(frozen=True)
class CurveTrend:
    """The trend of a curve over pre-training, on two axes and by order."""

    line: Trend
    """per checkpoint in the order of pre-training"""
    log_line: Trend
    """per tenfold of the tokens; NaN where they are not known"""
    tau: float
    tau_p: float
    """Kendall's test of the order"""
    p_without_first: float
    p_without_last: float
    """of the line without a point at its end; NaN if fewer than three points are left"""

    def hangs_on(self, alpha: float) -> str | None:
        """`first`, `last` or `both` ends without which the line's verdict would be another."""
        ends = {"first": self.p_without_first, "last": self.p_without_last}
        found = [
            end
            for end, p in ends.items()
            if not np.isnan(p) and (p <= alpha) != (self.line.p <= alpha)
        ]
        return "both" if len(found) == 2 else found[0] if found else None


def curve_trend(
    index: Sequence[int], values: ArrayLike, draws: np.ndarray, axis: Axis, level: float = LEVEL
) -> CurveTrend:
    """The trend of a curve whose points are at the checkpoints ``index`` of ``axis``.

    Points at one place count once, as their mean: two checkpoints 20 steps apart are no two
    witnesses of a trend.

    Args:
        values: (K,)
        draws: (K, R) replicates of them, paired.
    """
    at, values = axis.places[list(index)], np.asarray(values, dtype=float)
    places = np.unique(at)
    merge = (at == places[:, None]) / (at == places[:, None]).sum(axis=1, keepdims=True)
    mean, drawn = merge @ values, merge @ draws
    tokens = merge @ axis.log_tokens[list(index)]
    unknown = Trend(*[np.nan] * 7)
    shorter = [
        line_trend(places[part], mean[part], drawn[part], level).p if len(places) > 3 else np.nan
        for part in (slice(1, None), slice(None, -1))
    ]
    return CurveTrend(
        line_trend(places, mean, drawn, level),
        unknown if np.isnan(tokens).any() else line_trend(tokens, mean, drawn, level),
        *kendall_trend(mean.tolist()),
        *shorter,
    )


def slope_weights(x: ArrayLike) -> np.ndarray:
    """Weights w (K,) for which w @ y is the slope of the least-squares line through (x, y)."""
    centred = np.asarray(x, dtype=float) - np.mean(np.asarray(x))
    return centred / (centred @ centred)


def kendall_trend(values: Sequence[float]) -> tuple[float, float]:
    """Kendall's tau-b of ``values`` against their order, with its two-sided p-value.

    The null is that the values are exchangeable: all orders are equally likely. (The steps of a
    driftless random walk are exchangeable, its values are not.) The p-value is exact, ties
    included: the number of inversions of a random order is a sum of independent Mann-Whitney
    statistics, one per group of equal values (the q-multinomial coefficient, MacMahon 1913). A
    constant or single value has no trend: tau 0, p 1.
    """
    if len(set(values)) < 2:
        return 0.0, 1.0
    counts = _inversion_counts(tuple(sorted(Counter(values).values())))
    pairs = len(counts) - 1  # of different values
    inversions = sum(a > b for i, a in enumerate(values) for b in values[i + 1 :])
    observed = abs(pairs - 2 * inversions)
    as_far = sum(c for at, c in enumerate(counts) if abs(pairs - 2 * at) >= observed)
    tau = (pairs - 2 * inversions) / sqrt(pairs * comb(len(values), 2))
    return tau, as_far / sum(counts)


@cache
def _inversion_counts(groups: tuple[int, ...]) -> list[int]:
    """How many orders of a multiset, of ``groups`` equal values each, have 0, 1, ... inversions.

    The product over groups of (1 - q^(before + i)) / (1 - q^i), i = 1 .. size, as a polynomial.
    """
    length = 1 + sum(a * b for at, a in enumerate(groups) for b in groups[at + 1 :])
    counts, before = [1] + [0] * (length - 1), 0
    for size in groups:
        for i in range(1, size + 1):
            for at in reversed(range(before + i, length)):
                counts[at] -= counts[at - before - i]
            for at in range(i, length):
                counts[at] += counts[at - i]
        before += size
    return counts


@dataclass(frozen=True)
class Scatter:
    """How far the points of a curve, and two models alike, differ by chance; NaN if not known."""

    steps: float
    """standard deviation of a checkpoint about the line between its neighbours"""
    twins: float
    """root mean square of the difference of two models that should be alike"""
    twins_of: str | None
    """which these are: `seeds`, `same tokens`, or `neighbours` (from ``steps``)"""


def curve_scatter(places: ArrayLike, values: ArrayLike, by_seed: np.ndarray) -> Scatter:
    """The scatter of a curve.

    A point between two others that are on a line differs from their mean by an error of variance
    1.5 sigma^2; the steps of a curve that bends count as scatter, too.

    Args:
        places: (K,) of the checkpoints (``Axis.places``); those at one place are twins.
        values: (K,)
        by_seed: (K, S) of each training seed; NaN where there is none.
    """
    at, values = np.asarray(places), np.asarray(values, dtype=float)
    means = np.array([values[at == place].mean() for place in np.unique(at)])
    bends = means[1:-1] - (means[:-2] + means[2:]) / 2
    steps = float(np.sqrt((bends**2).mean() / 1.5)) if len(bends) else np.nan
    several = (~np.isnan(by_seed)).sum(axis=1) > 1
    if several.any():
        spread = np.nanvar(by_seed[several], axis=1, ddof=1)
        return Scatter(steps, float(np.sqrt(2 * spread.mean())), "seeds")
    pairs = values[1:][at[1:] == at[:-1]] - values[:-1][at[1:] == at[:-1]]
    if len(pairs):
        return Scatter(steps, float(np.sqrt((pairs**2).mean())), "same tokens")
    return Scatter(steps, np.sqrt(2) * steps, None if np.isnan(steps) else "neighbours")
