"""The bootstrap, intervals of scores between 0 and 1, and tests without a model of the scores.

Everything rests on one joint bootstrap. The examples of a dataset are resampled once, and the same
resamples serve every model scored on it, so that replicate ``r`` of two cells is paired and any
function of cells (a gain, a ratio, a stopping point) gets its interval by applying that function
to the replicates. Intervals hold at the edges, 0 and 1, and with few training seeds.

Shapes: ``n`` examples, ``C`` cells, ``G`` scores, ``R`` resamples or draws, ``S`` training seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

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


def two_sided_p(estimates: ArrayLike, errors: ArrayLike) -> np.ndarray:
    """P-value of estimates with normal errors of known size; NaN without an error."""
    from scipy.special import ndtr

    errors = np.asarray(errors, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(np.asarray(estimates, dtype=float)) / np.where(errors > 0, errors, np.nan)
    return 2 * ndtr(-ratio)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values (1979, family-wise error rate), in the order given; NaN stays."""
    adjusted = np.full(len(p_values), np.nan)
    order = np.argsort(p_values)[: int((~np.isnan(p_values)).sum())]
    steps = p_values[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


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


# Below this a p-value counts as zero: quantiles further out are not computed reliably.
SMALLEST_P = 1e-30
# Share of the studies in which a true difference is to be found.
POWER = 0.8


def effective_examples(
    mean: ArrayLike, variance: ArrayLike, n: ArrayLike, bounded: bool = True
) -> np.ndarray:
    """Number of right-or-wrong answers whose mean would have this variance, mean (1 - mean) / it.

    For right-or-wrong answers that is n; ROUGE-L varies less, so that it counts as more. Where all
    examples score the same the variance says nothing, and n stands in. NaN outside [0, 1], and of
    scores that are not bounded.
    """
    mean, variance = np.asarray(mean, float), np.asarray(variance, float)
    spread = mean * (1 - mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where((variance > 0) & (spread > 0), spread / variance, n)
    known = bounded & (mean >= 0) & (mean <= 1) & ~np.isnan(variance)
    return np.where(known, found, np.nan)


def score_quantiles(mean: np.ndarray, examples: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Wilson's limit (1927) at each normal quantile ``z``, signed: the p with

        mean = p - z sqrt(p (1 - p) / examples).

    Over all z these are the quantiles of the score's confidence distribution. With an effective
    number of examples it is the interval of Korn and Graubard (1998) for survey data. Broadcasts.
    """
    k = z * z / examples
    root = np.sqrt(np.maximum(mean * (1 - mean), 0) / examples + k / (4 * examples))
    return (mean + k / 2 + z * root) / (1 + k)


def score_interval(
    mean: ArrayLike,
    variance: ArrayLike,
    n: ArrayLike,
    level: float = LEVEL,
    bounded: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of scores: Wilson's in [0, 1] (see :func:`score_quantiles`), else the normal one.

    Args:
        mean: (G,) scores.
        variance: (G,) of the mean: the squared standard error; NaN where it is unknown.
        n: (G,) numbers of examples.
        bounded: whether the scores lie in [0, 1] by their nature: a loss there does by chance.
    """
    from scipy.special import ndtri

    z = ndtri((1 + level) / 2)
    mean, variance = np.asarray(mean, float), np.asarray(variance, float)
    examples = effective_examples(mean, variance, n, bounded)
    low, high = (
        np.where(
            np.isnan(examples),
            mean + sign * z * np.sqrt(variance),
            score_quantiles(mean, examples, sign * z),
        )
        for sign in (-1, 1)
    )
    return low, high


def confidence_draws(
    mean: np.ndarray,
    variance: np.ndarray,
    n: np.ndarray,
    replicates: np.ndarray,
    noise: np.ndarray,
    bounded: bool = True,
) -> np.ndarray:
    """Draws (G, R) from the joint confidence distribution of scores.

    Each score's draws have the quantiles of :func:`score_quantiles`; how scores go together is
    taken from the replicates' ranks. So the percentiles of any function of draws give its
    interval, also where scores lie at 0 or 1 and a percentile interval of the replicates would
    have no width. A little noise of its own, 1 / examples, is added to each score before it is
    ranked: with it the difference of two scores has the variance of Bonett and Price (2012),
    (b + c + 2) / n^2 for b and c discordant answers, and two models that answer alike on n
    examples are not held to be equal for certain.

    Args:
        mean, variance, n, bounded: as in :func:`score_interval`.
        replicates: (G, R) paired replicates; their ranks alone count.
        noise: (G, R) standard normal.

    Returns:
        (G, R) float32; NaN where the variance is unknown.
    """
    from scipy.special import ndtri

    resamples = replicates.shape[1]
    grid = ndtri((np.arange(resamples) + 0.5) / resamples)
    examples = effective_examples(mean, variance, n, bounded)
    inside = ~np.isnan(examples)
    step = np.where(inside, 1 / examples, 0.0)[:, None]
    order = np.argsort(replicates + step * noise, axis=1)
    wilson = score_quantiles(mean[:, None], examples[:, None], grid)
    normal = mean[:, None] + np.sqrt(variance)[:, None] * grid
    sorted_draws = np.where(inside[:, None], wilson, normal).astype(np.float32)
    draws = np.empty(replicates.shape, dtype=np.float32)
    np.put_along_axis(draws, order, sorted_draws, axis=1)
    return draws


def small_sample_quantile(tail: ArrayLike, share: ArrayLike, freedom: ArrayLike) -> np.ndarray:
    """Upper quantile of an estimate over its standard error, where few units stand behind that.

    The error has a part that is known well (examples) and one that was estimated from few units
    (training seeds, checkpoints). The quantile is midway between Satterthwaite's (1946), which is
    a little too small when the two parts are alike, and that of Cochran and Cox (1950), which is a
    little too large; docs/analysis.md has the coverage.

    Args:
        tail: probability above the quantile.
        share: of the variance, the part from few units.
        freedom: degrees of freedom of that part.

    Returns:
        Student's t for a share of 1, the normal quantile for one of 0. Broadcasts.
    """
    from scipy.special import ndtri, stdtrit

    part = np.clip(np.asarray(share), 0, 1)
    with np.errstate(divide="ignore"):
        satterthwaite = stdtrit(np.divide(freedom, np.square(part)), tail)
    weighted = part * stdtrit(freedom, tail) + (1 - part) * ndtri(tail)
    return -(satterthwaite + weighted) / 2


def smallest_detectable(
    stderr: ArrayLike, level: float = LEVEL, share: ArrayLike = 0.0, freedom: ArrayLike = np.inf
) -> np.ndarray:
    """The true difference that an interval leaves zero for in ``POWER`` of the studies.

    The quantile of a two-sided test plus that of the power, times the standard error (Cohen, 1988):
    (1.96 + 0.84) of them at 95 %, more where the error rests on few units.

    Args:
        stderr: of the difference.
        level, share, freedom: see :func:`small_sample_quantile`. All broadcast.
    """
    from scipy.special import ndtri

    quantile = small_sample_quantile((1 - level) / 2, share, freedom)
    return (quantile + ndtri(POWER)) * np.asarray(stderr)


def small_sample_p(ratio: float, share: float, freedom: float) -> float:
    """Two-sided p-value of an estimate over its standard error: 1 - the level at which the
    interval by :func:`small_sample_quantile` just holds zero."""
    from scipy.optimize import brentq

    def reach(log_p: float) -> float:
        return float(small_sample_quantile(np.exp(log_p) / 2, share, freedom)) - abs(ratio)

    smallest = np.log(SMALLEST_P)
    return 0.0 if reach(smallest) < 0 else float(np.exp(brentq(reach, smallest, 0.0, xtol=1e-9)))


def over_seeds(
    values: np.ndarray, replicates: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, float]:
    """The mean over several training seeds: its replicates (R,) and its variance.

    Seeds and examples are crossed random effects. The spread of the seeds' scores holds the
    seeds' part and the noise of each seed's own answers; the bootstrap of their mean holds the
    examples' part and the same noise, which is counted once.

    Args:
        values: (S,) one score a seed.
        replicates: (S, R), paired over seeds.
        normals: (S, R) standard normal draws; runs that share them are paired over seeds.
    """
    s = len(values)
    seeds, examples, together = (
        part[0] for part in parts_of_variance(values[None], replicates[None])
    )
    mean = replicates.mean(axis=0)
    shrink = np.sqrt(examples / together) if together > 0 else 0.0
    moved = (values - values.mean()) @ normals / np.sqrt(s * (s - 1))
    return values.mean() + shrink * (mean - mean.mean()) + moved, float(seeds + examples)


def parts_of_variance(
    values: np.ndarray, replicates: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of means over seeds (see :func:`over_seeds`), for G scores with S seeds each.

    Args:
        values: (G, S).
        replicates: (G, S, R).

    Returns:
        the seeds' part, the examples' part, and the bootstrap's variance of the mean, (G,) each.
    """
    s = values.shape[1]
    together = replicates.mean(axis=1).var(axis=1)
    alone = replicates.var(axis=2).mean(axis=1)
    examples = np.maximum(0, together - np.maximum(0, (alone - together) / (s - 1)))
    return values.var(axis=1, ddof=1) / s, examples, together


def unseen_agreement(mean: np.ndarray, n: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Addition to the variance (G,) of means over several seeds within [0, 1].

    Half an example more, half a point from the mean, on which all seeds agree: 1 / (8 n^2). Near 0
    or 1 few examples tell how far seeds fail on the same ones; where none does, :func:`over_seeds`
    takes their answers for independent. As the 2 of Bonett and Price it is felt at the edges only.
    """
    counted = (seeds > 1) & (mean >= 0) & (mean <= 1) & ~np.isnan(n)
    return np.where(counted, 1 / (8 * np.square(n, dtype=float)), 0.0)
