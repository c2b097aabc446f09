"""Test whether the last checkpoint is worse than the best, which was picked after looking.

Shapes: ``K`` checkpoints, ``R`` draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptft.analysis.estimates import SeedPart
from ptft.analysis.intervals import POWER, small_sample_quantile


@dataclass(frozen=True)
class Decline:
    """How far the last point of a curve is below its best point."""

    best: int
    """index of the best point"""
    drop: float
    """best minus last, 0 if the last is the best"""
    low: float
    """one-sided lower limit of the drop; NaN if no error is known"""
    p: float
    """of the null that no point is better than the last, corrected for picking the best"""
    detectable: float
    """smallest true drop that the test would find with 80 % power"""


def decline(curve: np.ndarray, draws: np.ndarray, seeds: SeedPart, level: float) -> Decline:
    """Compare the last point of a curve with the best one.

    The best of K noisy points is too high. So its lead over the last one is compared with the
    largest lead that errors alone give: the largest (draw_k - draw_last) - (curve_k - curve_last)
    over k in each draw (single-step maximum test; Hothorn, Bretz and Westfall, 2008). If no
    checkpoint is truly better than the last, at most 1 - level of claims are wrong. This holds for
    these models; scatter between training runs is included as far as ``seeds`` has it.

    Args:
        curve: (K,) higher is better.
        draws: (K, R) replicates of it, paired; NaN if no error is known.
        seeds: (K,) part of the training seeds in each point's difference from the last.
        level: of the limit.
    """
    from scipy.special import ndtri

    best = int(np.argmax(curve))
    drop = float(curve[best] - curve[-1])
    errors = (draws - draws[-1]) - (curve - curve[-1])[:, None]
    if np.isnan(errors).any():
        return Decline(best, drop, np.nan, np.nan, np.nan)
    variance = errors.var(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(seeds.variance / variance)
    tail = 1 - level
    wider = small_sample_quantile(tail, share, seeds.freedom) / small_sample_quantile(
        tail, 0, np.inf
    )
    lead = np.max(wider[:, None] * errors, axis=0)
    # The curve counts as one of the draws: of R draws none can tell that p is zero.
    p = (1 + int((lead >= drop).sum())) / (1 + len(lead)) if drop > 0 else 1.0
    least = float(np.quantile(lead, level))
    detectable = least + float(ndtri(POWER) * np.sqrt(variance.max()))
    return Decline(best, drop, drop - least, p, detectable)
