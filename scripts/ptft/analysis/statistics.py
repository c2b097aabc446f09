"""The bootstrap, and tests without a model of the scores.

Intervals at the edges and over seeds are in ``ptft.analysis.intervals``, trends in
``ptft.analysis.trends``.

Everything rests on one joint bootstrap. The examples of a dataset are resampled once, and the same
resamples serve every model scored on it, so that replicate ``r`` of two cells is paired and any
function of cells (a gain, a ratio, a stopping point) gets its interval by applying that function
to the replicates.

Shapes: ``n`` examples, ``C`` cells, ``R`` resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95
# One chunk of resampling weights stays near 32 MiB whatever the size of the dataset.
CHUNK_ELEMENTS = 4_000_000


def resampling_weights(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield chunks (r, n) of bootstrap weights: how often each example was drawn, divided by n."""
    if n < 1:
        raise ValueError("a bootstrap needs at least one example, got none")
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_ELEMENTS // n)
    for start in range(0, resamples, rows):
        r = min(rows, resamples - start)
        drawn = rng.integers(0, n, size=(r, n), dtype=np.int32)
        drawn += (np.arange(r, dtype=np.int32) * n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=r * n).reshape(r, n) / n


def bootstrap_means(scores: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means of resampled examples, the same resamples for every column.

    Args:
        scores: (n, C), one row an example, one column a cell; row i is the same example everywhere.
        resamples: R.
        seed: of the resampling; cells given the same seed and n are paired.

    Returns:
        (R, C) bootstrap means (Efron, 1979).
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2:
        raise ValueError(f"scores must be (examples, cells), got shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinite values; score every example before averaging")
    chunks = [weights @ scores for weights in resampling_weights(len(scores), resamples, seed)]
    return np.concatenate(chunks)


def percentile_interval(
    replicates: np.ndarray, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard error and percentile interval of each row of (C, R) replicates.

    Rows that hold NaN (a cell whose error is unknown) give NaN, not an interval of width zero.
    """
    replicates = np.atleast_2d(replicates)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(replicates, [tail, 100 - tail], axis=1)
    return replicates.std(axis=1), low, high


def normal_replicates(
    values: np.ndarray, stderrs: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """Normal draws (C, R) if only a mean and its standard error are known (published tables).

    Cells are drawn independently, so intervals of differences are wider than paired ones. A
    missing standard error (NaN) gives NaN replicates.
    """
    noise = np.random.default_rng(seed).standard_normal((len(values), resamples))
    return np.asarray(values)[:, None] + np.asarray(stderrs)[:, None] * noise


def sign_test(ups: ArrayLike, downs: ArrayLike) -> np.ndarray:
    """Two-sided exact p-values of ups and downs being equally likely; 1 without either.

    As ``scipy.stats.binomtest``, for many pairs at once. Broadcasts.
    """
    from scipy.stats import binom

    ups, n = np.asarray(ups), np.add(ups, downs)
    less = np.minimum(ups, downs)
    tails = binom.cdf(less, n, 0.5) + binom.sf(n - less - 1, n, 0.5)
    return np.where(2 * less == n, 1.0, np.minimum(tails, 1.0))


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho of two rankings, compared with random orders."""

    rho: float
    p: float
    """two-sided: share of permutations whose rho is at least as far from zero"""
    smallest_p: float
    """smallest p that any order of these values could give"""
    null_low: float
    null_high: float


def rank_correlation(
    x: np.ndarray, y: np.ndarray, level: float = LEVEL, resamples: int = 9999
) -> RankCorrelation:
    """Spearman's rho of ``x`` (n,) and ``y`` (n,) with its permutation test (scipy).

    All n! orders are tried if they are at most ``resamples``. All NaN with fewer than three pairs,
    or if one side is constant.
    """
    from scipy.stats import permutation_test, rankdata

    ranks_x, ranks_y = rankdata(x), rankdata(y)
    if len(ranks_x) < 3 or np.ptp(ranks_x) == 0 or np.ptp(ranks_y) == 0:
        return RankCorrelation(*[np.nan] * 5)

    def rho(permuted: np.ndarray, axis: int) -> np.ndarray:
        product = (permuted - permuted.mean(axis=axis, keepdims=True)) * (ranks_y - ranks_y.mean())
        return product.sum(axis=axis) / (len(ranks_y) * ranks_x.std() * ranks_y.std())

    test = permutation_test(
        (ranks_x,), rho, permutation_type="pairings", vectorized=True, n_resamples=resamples,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    null = np.abs(test.null_distribution)
    # Sums of the same terms in another order differ in their last digits.
    smallest = (null >= null.max() - 1e-12).mean()
    p = (null >= abs(test.statistic) - 1e-12).mean()
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(test.null_distribution, [tail, 100 - tail])
    return RankCorrelation(*(float(value) for value in (test.statistic, p, smallest, low, high)))


def adjust_p_values(p_values: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values (false discovery rate), in the order given.

    NaN (nothing was tested) stays and does not count.
    """
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p_values), np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        adjusted[tested] = false_discovery_control(p_values[tested], method="bh")
    return adjusted
