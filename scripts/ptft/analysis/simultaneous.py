"""Intervals of many estimates that hold together, and variances of few seeds pooled over runs.

Shapes: ``N`` estimates, ``R`` draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptft.analysis.estimates import Estimates, SeedPart
from ptft.analysis.statistics import POWER, small_sample_quantile

SIDE = 1.959964
"""normal quantile at which the width of each side of an estimate's draws is taken"""


@dataclass(frozen=True)
class Together:
    """N estimates with limits that hold for all of them at once.

    Attributes:
        values, stderr, low, high: (N,); NaN where no error is known.
        score: (N,) values in standard errors, comparable to ``largest``.
        detectable: (N,) the smallest true value found with a power of 80 %.
        largest: (R,) largest error of any estimate in each draw, in standard errors.
    """

    values: np.ndarray
    stderr: np.ndarray
    low: np.ndarray
    high: np.ndarray
    score: np.ndarray
    detectable: np.ndarray
    largest: np.ndarray

    def p(self, score: float) -> float:
        """Two-sided p-value, adjusted for all estimates, of one with this ``score``.

        The estimates count as one of the draws: of R draws none can tell that p is zero.
        """
        if np.isnan(score):
            return np.nan
        return (1 + int((self.largest >= abs(score)).sum())) / (1 + len(self.largest))


def together(parts: Sequence[Estimates], level: float, runs: int) -> Together:
    """Simultaneous intervals of all estimates of ``parts`` (single-step maximum test).

    In each draw the largest error of any estimate is taken, in units of its own error; its
    quantile takes the place of the 1.96 of a single interval (Hothorn, Bretz and Westfall, 2008).
    Draws are paired, so estimates that go together cost little. So at most 1 - level of studies
    have any interval that misses the truth, whichever of them a reader picks: the largest, those
    above zero, any.

    Where an error rests on few seeds, the seeds' part of its variance is drawn towards that of the
    other estimates of its part (:func:`moderated`), and the limits are further out
    (``small_sample_quantile``).

    Args:
        parts: estimates of one kind each, on one scale.
        runs: tuned models of which seeds differ, each with as many seeds.
    """
    from scipy.special import ndtr, ndtri

    kinds = [_standardized(part, runs) for part in parts]
    values, down, up, stderr, share, freedom = (
        np.concatenate([kind[at] for kind in kinds]) if kinds else np.empty(0) for at in range(6)
    )
    largest = np.zeros(1)
    for kind in kinds:
        largest = np.fmax(largest, kind[6])
    critical = float(np.quantile(largest, level))
    tail = float(ndtr(-critical)) if critical > 0 else (1 - level) / 2
    normal = -float(ndtri(tail))
    wider = small_sample_quantile(tail, share, freedom) / normal
    low, high = values - normal * wider * down, values + normal * wider * up
    with np.errstate(divide="ignore", invalid="ignore"):
        score = values / (wider * np.where(values > 0, down, up))
    return Together(
        values,
        stderr,
        low,
        high,
        score,
        (normal * wider + float(ndtri(POWER))) * stderr,
        np.broadcast_to(largest, max(len(largest), 1)),
    )


def _standardized(part: Estimates, runs: int) -> tuple[np.ndarray, ...]:
    """Values, width of both sides, error, its share from seeds and freedom (N,); and the largest
    error of the draws (R,), in units of the width of its side."""
    values = np.asarray(part.values, dtype=float)
    errors = part.draws - values[:, None]
    known = np.isfinite(errors).all(axis=1)
    errors[~known] = 0.0
    raw = errors.std(axis=1)
    known &= raw > 0
    low, high = np.percentile(errors, [2.5, 97.5], axis=1)
    down, up = np.maximum(-low, 0.1 * raw) / SIDE, np.maximum(high, 0.1 * raw) / SIDE
    with np.errstate(divide="ignore", invalid="ignore"):
        units = np.abs(errors) / np.where(errors < 0, down[:, None], up[:, None])
    largest = units[known].max(axis=0) if known.any() else np.zeros(errors.shape[1])
    seeds = moderated(part.seeds, runs) if part.seeds is not None else None
    stderr, share, freedom = raw, np.zeros(len(values)), np.full(len(values), np.inf)
    if seeds is not None and part.seeds is not None:
        variance = np.maximum(raw**2 - part.seeds.variance, 0) + seeds.variance
        stderr, freedom = np.sqrt(variance), seeds.freedom
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.nan_to_num(seeds.variance / variance)
            down, up = (np.nan_to_num(side * stderr / raw) for side in (down, up))
    unknown = np.where(known, 0.0, np.nan)
    return values, down + unknown, up + unknown, stderr + unknown, share, freedom, largest


def moderated(seeds: SeedPart, runs: int) -> SeedPart:
    """Variances between few seeds, each drawn towards those of the others (Smyth, 2004).

    Variances of single runs scatter about a common one with a prior weight d0, in degrees of
    freedom, that is estimated from how much more they scatter than chance lets them. Where they
    scatter by chance only, all have the pooled variance.

    Args:
        seeds: (N,) of estimates of one kind.
        runs: that the estimates rest on; together they have no more freedom than these.
    """
    from scipy.special import digamma

    few = np.isfinite(seeds.freedom) & (seeds.variance > 0)
    if few.sum() < 2:
        return seeds
    variance, freedom = seeds.variance[few], seeds.freedom[few]
    centred = np.log(variance) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = centred.var(ddof=1) - _trigamma(freedom / 2).mean()
    most = max(float(freedom.min()) * runs, float(freedom.max()))
    if excess <= 0:
        prior, common = np.inf, float(np.average(variance, weights=freedom))
    else:
        prior = 2 * _inverse_trigamma(excess)
        common = float(np.exp(centred.mean() + digamma(prior / 2) - np.log(prior / 2)))
    if np.isinf(prior):
        found = np.full(len(variance), common)
    else:
        found = (prior * common + freedom * variance) / (prior + freedom)
    whole, degrees = seeds.variance.copy(), seeds.freedom.copy()
    whole[few], degrees[few] = found, np.minimum(prior + freedom, most)
    return SeedPart(whole, degrees)


def _trigamma(x: np.ndarray) -> np.ndarray:
    from scipy.special import polygamma

    return polygamma(1, x)


def _inverse_trigamma(y: float) -> float:
    """The x with trigamma(x) = y, by Newton's method (Smyth, 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / y
    for _ in range(50):
        tri = float(polygamma(1, x))
        step = tri * (1 - tri / y) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
