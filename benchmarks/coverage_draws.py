"""Made-up studies whose truth is known, for the programs `coverage*.py`, and how these count.

Each model has exactly the mean it is given, and an example that is hard for one model is more often
hard for the others.

Shapes: ``D`` draws of a whole study, ``K`` models, ``n`` examples.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from frame import keep

from ptft.analysis.cell_scores import replicate_table
from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.scores import Scores
from ptft.analysis.statistics import bootstrap_means

RESAMPLES, CHUNK = 600, 200
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


def cell(scored: np.ndarray, **known: object) -> dict:
    """A row of table `cells`: the scores of its examples (n,), and what is known of its model."""
    return {
        "study": "made up", "model": "made-up", "format": "default", "shots": 0, "main": True,
        "metric": "accuracy", "value": scored.mean(dtype=float), "n": len(scored),
        "stderr": scored.std(dtype=float) / np.sqrt(len(scored)), **known,
    }  # fmt: skip


def made_up_scores(
    scored: Mapping[str, np.ndarray],
    seed: int,
    models: list[dict] | None = None,
    domains: Mapping[str, str] | None = None,
) -> Scores:
    """Studies as ``Scores``: a task each, a dataset for each key with scores (D, M, n).

    Args:
        models: what is known of each of the M models, in the words of table `cells`; where not
            given a base model, then full fine-tuning with M - 1 seeds.
        domains: of a key's datasets for the tuned models.
    """
    count = next(iter(scored.values())).shape[1]
    models = models or [{}, *({"method": "full", "seed": seed} for seed in range(count - 1))]
    rows, replicates = [], []
    for name, drawn in scored.items():
        flat = drawn.reshape(-1, drawn.shape[2])
        replicates.append(bootstrap_means(flat.T, RESAMPLES, seed).T.astype(np.float32))
        for (study, number), own in zip(np.ndindex(drawn.shape[:2]), flat, strict=True):
            model, task = models[number], f"task {study:05}"
            step = model.get("step", 1)
            known = model | {"checkpoint": f"step{step}", "step": step, "tokens": step}
            known |= {"arm": "base"} if "method" not in model else {
                "arm": f"{task}.{number}", "train_task": task, "domain": (domains or {}).get(name),
            }  # fmt: skip
            rows.append(cell(own, dataset=f"{name} {study:05}", **known))
    cells = pl.DataFrame(rows, schema=CELLS_SCHEMA)
    return Scores.build(cells, replicate_table(cells, np.concatenate(replicates)), seed)


def chunks(draws: int) -> Iterator[tuple[int, int]]:
    """Number and size of each part of the draws that is worked on at once."""
    for i, start in enumerate(range(0, draws, CHUNK)):
        yield i, min(CHUNK, draws - start)


def settings(**values: tuple) -> list[dict]:
    """All combinations of values."""
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


Part = tuple[list[dict], Callable[[dict, int, int], dict]]
"""settings, and what gives the shares of one, of so many draws, by a seed"""


def measure_parts(parts: Mapping[str, Part], seed: int, draws: int, output: Path) -> None:
    """Write the shares of each part's settings, those excepted that are there already."""
    asked = {"seed": seed, "draws": draws}
    known = json.loads(output.read_text()) if output.exists() else {}
    if not asked.items() <= known.items():
        known = {}
        output.unlink(missing_ok=True)
    for name, value in asked.items():
        keep(output, name, value)
    for part, (all_settings, measured) in parts.items():
        rows = known.get(part, [])
        keep(output, part, rows)
        for setting in all_settings:
            if not any(setting.items() <= row.items() for row in rows):
                rows.append(setting | measured(setting, draws, seed))
                print(json.dumps(rows[-1]), flush=True)
                keep(output, part, rows)
