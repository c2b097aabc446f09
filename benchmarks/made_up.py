"""A study that was never run: its slice for the collection, and its per-example files."""

from __future__ import annotations

import numpy as np
import polars as pl

FORMATS = ("default", "instruct", "io")
KINDS = {
    "nli": "classification",
    "paraphrase": "classification",
    "summarization": "generation",
    "question_generation": "generation",
    "multiple_choice": "multiple_choice",
}
"""family -> kind of its datasets"""
METRICS = {"classification": "accuracy", "generation": "rougeL", "multiple_choice": "acc_norm"}
CHOICES = {"classification": 3, "multiple_choice": 4}
AGREEMENT = ("cross_entropy_to_base", "same_top_token")


def made_up_study(
    name: str, steps: list[int], tasks: dict[str, str], seeds: int, each: int, shots: int
) -> dict:
    """The collection's slice of checkpoints x (1 + tasks x seeds) arms x datasets x 3 formats.

    Args:
        tasks: name -> the dataset that is in its domain, `<family>_<number>`.
        each: datasets of a family.
    """
    datasets = {
        f"{family}_{i}": {"family": family, "kind": kind, "metric": METRICS[kind]}
        for family, kind in KINDS.items()
        for i in range(each)
    }
    arms = {"base": {"method": None, "train_task": None, "seed": None}} | {
        f"full.{task}.s{seed}": {"method": "full", "train_task": task, "seed": seed}
        for task in tasks
        for seed in range(seeds)
    }
    return {
        "study": name,
        "model": "made-up",
        "checkpoints": {
            f"step{step}": {"step": step, "tokens": 4_000_000 * step} for step in steps
        },
        "arms": arms,
        "datasets": datasets,
        "in_domain": {task: [dataset] for task, dataset in tasks.items()},
        "task_family": {task: dataset.rsplit("_", 1)[0] for task, dataset in tasks.items()},
        "scores": [
            [dataset, format_name, shots] for dataset in datasets for format_name in FORMATS
        ],
        "bootstrap": {"resamples": 3000, "seed": 0},
    }


def answers(dataset: str, kind: str, n: int, rng: np.random.Generator) -> pl.DataFrame:
    """A per-example file of a task's dataset, of ``n`` rows."""
    choices, mean = CHOICES.get(kind), rng.uniform(0.2, 0.8)
    scores = rng.beta(2, 5, n) if choices is None else (rng.random(n) < mean).astype(float)
    said = [f"a text {s:.3f}" if choices is None else ("no", "yes")[int(s)] for s in scores]
    logprobs = None if choices is None else [-1.5] * choices
    return pl.DataFrame(
        {
            "example_id": [f"{dataset}-{i}" for i in range(n)],
            "gold": ["yes" if i % 2 else "no" for i in range(n)],
            "prediction": said,
            "score": scores,
            "logprobs": pl.Series([logprobs] * n, dtype=pl.List(pl.Float64)),
            "prompt_tokens": [100] * n,
            "truncated": [False] * n,
        }
    )


def text_cell(n: int, base: bool, rng: np.random.Generator) -> pl.DataFrame:
    """A per-example file of generic text; a base model has nothing to be compared with."""
    unknown = [None] * n
    agreement = {name: unknown if base else rng.uniform(0.5, 1, n) for name in AGREEMENT}
    return pl.DataFrame(
        {
            "example_id": [f"text-{i}" for i in range(n)],
            "gold": pl.Series(unknown, dtype=pl.String),
            "prediction": pl.Series(unknown, dtype=pl.String),
            "logprobs": pl.Series(unknown, dtype=pl.List(pl.Float64)),
            "prompt_tokens": [500] * n,
            "truncated": [False] * n,
            "score": rng.normal(1, 0.3, n),
            "nats_per_token": rng.normal(3, 0.3, n),
            **{name: pl.Series(values, dtype=pl.Float64) for name, values in agreement.items()},
        }
    )
