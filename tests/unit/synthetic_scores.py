"""A small made-up study for the tests of collection, analyses and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import KEY, score_cells
from ptft.analysis.collect import described, find_cells, study_cells
from ptft.evaluation.results import ratio_scores
from ptft.paths import cell_path

CHECKPOINTS = {"step10": (10, 1000), "step100": (100, 10_000), "main": (None, None)}
DATASETS = {
    "nli_in": ("nli", "classification", "accuracy", 1 / 3),
    "nli_out": ("nli", "classification", "accuracy", 1 / 3),
    "story_in": ("summarization", "generation", "rougeL", None),
    "quiz": ("multiple_choice", "multiple_choice", "acc_norm", 0.25),
}
# Score by (arm's task, dataset), one value a checkpoint.
CURVES = {
    (None, "nli_in"): (0.33, 0.33, 0.34),
    (None, "nli_out"): (0.34, 0.32, 0.33),
    (None, "story_in"): (0.08, 0.10, 0.10),
    (None, "quiz"): (0.25, 0.45, 0.60),
    ("nli", "nli_in"): (0.40, 0.60, 0.80),
    ("nli", "nli_out"): (0.36, 0.50, 0.60),
    ("nli", "story_in"): (0.04, 0.04, 0.02),
    ("nli", "quiz"): (0.25, 0.44, 0.58),
    ("story", "nli_in"): (0.33, 0.33, 0.33),
    ("story", "nli_out"): (0.34, 0.32, 0.33),
    ("story", "story_in"): (0.12, 0.18, 0.20),
    ("story", "quiz"): (0.25, 0.45, 0.59),
}
FORMAT_LOSS = {"default": 0.0, "instruct": 0.02, "io": 0.05}


# What a swept setting takes of the tuned scores.
SETTING_LOSS = {"lr0.001": 0.0, "lr0.01": 0.06, "lr0.1": 0.15}


def study_slice(
    n_seeds: int = 1,
    formats: tuple[str, ...] = tuple(FORMAT_LOSS),
    settings: tuple[str | None, ...] = (None,),
) -> dict:
    """The JSON slice that ``collect_cells.py`` gets."""
    arms = {"base": {"method": None, "train_task": None, "seed": None}} | {
        ".".join(["full", task, *([setting] if setting else []), f"s{seed}"]): {
            "method": "full",
            "train_task": task,
            "seed": seed,
            **({"setting": setting} if setting else {}),
        }
        for task in ("nli", "story")
        for setting in settings
        for seed in range(n_seeds)
    }
    return {
        "study": "made_up",
        "model": "tiny",
        "checkpoints": {k: {"step": s, "tokens": t} for k, (s, t) in CHECKPOINTS.items()},
        "arms": arms,
        "datasets": {
            name: {"family": family, "kind": kind, "metric": metric}
            for name, (family, kind, metric, _) in DATASETS.items()
        },
        "in_domain": {"nli": ["nli_in"], "story": ["story_in"]},
        "task_family": {"nli": "nli", "story": "summarization"},
        "scores": [[dataset, format_name, 4] for dataset in DATASETS for format_name in formats],
        "bootstrap": {"resamples": 400, "seed": 0},
    }


def write_evaluations(study: dict, root: Path, n: int = 200, noise_seed: int = 0) -> None:
    """Write a per-example file for every cell, with about the mean score of ``CURVES``."""
    rng = np.random.default_rng(noise_seed)
    for checkpoint, arm, dataset, format_name, shots in study_cells(study):
        task = study["arms"][arm]["train_task"]
        at = list(CHECKPOINTS).index(checkpoint)
        lost = FORMAT_LOSS[format_name] + SETTING_LOSS.get(study["arms"][arm].get("setting"), 0.0)
        mean = max(0.0, CURVES[task, dataset][at] - lost)
        if DATASETS[dataset][1] == "generation":
            scores = np.clip(rng.normal(mean, 0.02, n), 0, 1)
        else:
            scores = (np.arange(n) < round(mean * n)).astype(float)
        choices = DATASETS[dataset][3]
        logprobs = [-1.0] * round(1 / choices) if choices else None
        answers = [chr(97 + i % (len(logprobs) if logprobs else n)) for i in range(n + 1)]
        frame = pl.DataFrame(
            {
                "example_id": [f"{dataset}-{i}" for i in range(n)],
                "prediction": [answers[i + int(s <= 0.5)] for i, s in enumerate(scores)],
                "gold": answers[:n],
                "score": scores,
                "logprobs": [logprobs] * n,
                "prompt_tokens": [10] * n,
                "truncated": [False] * n,
                "half": scores / 2,
            },
            schema_overrides={"logprobs": pl.List(pl.Float64)},
        )
        path = Path(cell_path(root, checkpoint, arm, dataset, format_name, shots))
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)


# Bits per byte of generic text by the arm's task, one value a checkpoint.
TEXT_LOSS = {None: (2.0, 1.2, 0.9), "nli": (2.1, 1.5, 1.3), "story": (2.0, 1.2, 1.0)}


def add_text(study: dict, root: Path, n: int = 60) -> dict:
    """The study with a dataset of generic text, ``news``, whose per-example files are written."""
    about = {"family": "text", "kind": "text", "metric": "bits_per_byte"}
    texts = study | {"scores": [["news", "default", 0]]}
    for checkpoint, arm, *_ in study_cells(texts):
        task = study["arms"][arm]["train_task"]
        rng = np.random.default_rng(n)  # the same documents for all
        sizes = rng.integers(50, 2000, n)
        loss = TEXT_LOSS[task][list(CHECKPOINTS).index(checkpoint)] * np.log(2)
        tokens = sizes // 4
        sums = {
            "nats": (sizes * loss * rng.normal(1, 0.2, n)).tolist(),
            "base_nats": [None] * n if task is None else (3.0 * tokens).tolist(),
            "same_top": [None] * n if task is None else (0.5 * tokens).tolist(),
            "tokens": tokens.tolist(),
            "bytes": sizes.tolist(),
        }
        frame = pl.DataFrame(
            {
                "example_id": [f"news-{at}" for at in range(n)],
                "prediction": pl.Series([None] * n, dtype=pl.String),
                "gold": pl.Series([None] * n, dtype=pl.String),
                "logprobs": pl.Series([None] * n, dtype=pl.List(pl.Float64)),
                "prompt_tokens": sums["tokens"],
                "truncated": [False] * n,
                **{name: pl.Series(values, dtype=pl.Float64) for name, values in sums.items()},
                **{
                    name: pl.Series(values, dtype=pl.Float64)
                    for name, values in ratio_scores(sums).items()
                },
            }
        )
        path = Path(cell_path(root, checkpoint, arm, "news", "default", 0))
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
    return study | {
        "datasets": study["datasets"] | {"news": about},
        "scores": [*study["scores"], *texts["scores"]],
    }


@dataclass(frozen=True)
class Collected:
    """The tables of a study's cells, their replicates, and the cells without a file."""

    cells: pl.DataFrame
    replicates: pl.DataFrame
    missing: pl.DataFrame


def collect(study: Mapping[str, Any], evaluations: Path) -> Collected:
    """All cells of a study at once, where the workflow keeps a part for each model."""
    found = find_cells(study, evaluations)
    scored = score_cells(study, evaluations, found.cells).sort(*KEY, "metric")
    return Collected(described(study, scored), scored.drop("scores"), found.missing)
