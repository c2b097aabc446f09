"""Made-up answers whose truth is known, for `coverage.py`.

Each model has exactly the mean it is given, and an example that is hard for one model is more often
hard for the others.

Shapes: ``D`` draws of a whole study, ``K`` models, ``n`` examples.
"""

from __future__ import annotations

import json
import zlib

import numpy as np

ANSWERS, ROUGE = "right or wrong", "like ROUGE"
# How often a model finds an example as hard as all models do, and a checkpoint as the one before.
ALIKE, NEXT = 0.7, 0.8


def generator(seed: int, setting: dict) -> np.random.Generator:
    """Random numbers of a setting's own, so that it can be repeated alone."""
    return np.random.default_rng((seed, zlib.crc32(json.dumps(setting).encode())))


def spread_means(rng: np.random.Generator, mean: float, spread: float, shape: tuple) -> np.ndarray:
    """True means within [0, 1] that scatter about ``mean`` with standard deviation ``spread``."""
    if spread == 0:
        return np.full(shape, mean)
    weight = mean * (1 - mean) / spread**2 - 1
    return rng.beta(mean * weight, (1 - mean) * weight, shape)


def walking_means(rng: np.random.Generator, mean: float, step: float, shape: tuple) -> np.ndarray:
    """Driftless random walks (D, K) from ``mean``, held within [0, 1]."""
    steps = rng.normal(0, step, shape)
    steps[:, 0] = 0
    return np.clip(mean + steps.cumsum(axis=1), 0, 1)


def example_variance(kind: str, mean: float) -> float:
    """Variance of one example's score about ``mean``."""
    if kind == ANSWERS:
        return mean * (1 - mean)
    b = (1 - mean) / mean
    return b / ((1 + b) ** 2 * (2 + b))


def answers(
    rng: np.random.Generator, means: np.ndarray, n: int, kind: str = ANSWERS, drift: bool = False
) -> np.ndarray:
    """Scores (D, K, n) of models with true means (D, K).

    Args:
        kind: right or wrong, or like ROUGE: skewed within [0, 1], a beta distribution (1, b).
        drift: models are checkpoints, and what an example was like at the one before it is at the
            next, with probability ``NEXT``; else all models share it, with probability ``ALIKE``.
    """
    draws, models = means.shape
    ease = rng.random((draws, models, n), dtype=np.float32)
    kept = rng.random((draws, models, n), dtype=np.float32) < (NEXT if drift else ALIKE)
    if drift:
        for k in range(1, models):
            np.copyto(ease[:, k], ease[:, k - 1], where=kept[:, k])
    else:
        np.copyto(ease, rng.random((draws, 1, n), dtype=np.float32), where=kept)
    means = means[:, :, None].astype(np.float32)
    if kind == ANSWERS:
        return (ease < means).astype(np.float32)
    return 1 - ease ** (means / (1 - means))
