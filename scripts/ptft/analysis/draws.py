"""Draws of scores from their bootstrap means: over training seeds, within their bounds.

Shapes: ``C`` scores, ``R`` draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import polars as pl

from ptft.analysis.statistics import confidence_draws, over_seeds, unseen_agreement

AT_ONCE = 256
"""scores whose cells are read, and whose draws are made, at once"""
Read = Callable[[np.ndarray], np.ndarray]
"""rows (k,) of cells -> their bootstrap means (k, R)"""


def seed_means(
    read: Read, groups: pl.DataFrame, single: np.ndarray, seeds: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means over the cells of C groups, which differ in their training seed: (C, R) and variance.

    Args:
        groups: columns run, rows (of cells), places (of their seeds) and values (scores).
        single: (C,) variance of groups of one cell; NaN where it is not known.
        seeds: how many training seeds the study has.
        seed: of the draws that stand for other seeds.

    Returns:
        means (C, R), float32, and variances (C,).
    """
    variance, means = single.copy(), [np.empty((0, 0), np.float32)]

    @lru_cache(maxsize=8)
    def normals(run: int) -> np.ndarray:
        return np.random.default_rng((seed, run)).standard_normal((seeds, drawn.shape[1]))

    for start in range(0, len(groups), AT_ONCE):
        chosen = groups[start : start + AT_ONCE]
        drawn = read(chosen["rows"].explode().to_numpy())
        found, at = np.empty((len(chosen), drawn.shape[1]), np.float32), 0
        for row, (run, places, values) in enumerate(
            chosen.select("run", "places", "values").iter_rows()
        ):
            own = drawn[at : at + len(values)]
            at += len(values)
            if len(values) == 1:
                found[row] = own[0]
            else:
                found[row], variance[start + row] = over_seeds(
                    np.array(values), own, normals(run)[places]
                )
        means.append(found)
    return np.concatenate(means[1:] or means), variance


def make_draws(
    means: np.ndarray,
    variance: np.ndarray,
    mean: np.ndarray,
    n: np.ndarray,
    n_seeds: np.ndarray,
    seed: int,
    bounded: bool,
) -> np.ndarray:
    """Draws (C, R) of the scores' confidence distribution (``confidence_draws``).

    Args:
        means, variance: see :func:`seed_means`.
        mean, n, n_seeds: (C,) scores, their examples and training seeds.
        seed: of the noise.
        bounded: whether the scores lie in [0, 1] by their nature.
    """
    # A spread of none says nothing where it is not known of how many examples.
    variance = np.where(np.isnan(n) & (variance == 0), np.nan, variance)
    if bounded:
        variance = variance + unseen_agreement(mean, n, n_seeds)
    rng, draws = np.random.default_rng(seed), np.empty_like(means)
    for start in range(0, len(means), AT_ONCE):
        own = slice(start, start + AT_ONCE)
        noise = rng.standard_normal(means[own].shape, dtype=np.float32)
        draws[own] = confidence_draws(mean[own], variance[own], n[own], means[own], noise, bounded)
    return draws
