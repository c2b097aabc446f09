"""How collection and analysis grow: studies of 30,000, 90,000 and 300,000 cells.

80 checkpoints x (base + 8 tasks x 3 seeds) x datasets x 3 formats, 667 examples a cell, 3,000
resamples. Each is collected without its last checkpoint, then with it, then once more with nothing
new, and analysed. Cells of a dataset share ``DISTINCT`` made-up files by hard links, so that
300,000 of them fit on a small disk; every one is read and scored like a file of its own.

    python benchmarks/scale.py          # benchmarks/results/scale.json
    python benchmarks/scale.py 30000    # one of them
"""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import numpy as np
import polars as pl
import tyro
from frame import REPOSITORY, RESULTS, keep, machine, measure

from ptft.analysis.collect import study_cells
from ptft.analysis.tables import TABLES
from ptft.paths import Results, cell_path
from ptft.runtime.programs import program

SCRIPTS = REPOSITORY / "scripts"
RESULTS_OF = Results("scaled")
SIZES = {30_000: 1, 90_000: 3, 300_000: 10}
"""cells -> datasets a family"""
CHECKPOINTS, TASKS, SEEDS, EXAMPLES = 80, 8, 3, 667
DISTINCT = 48
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


def scaled_study(each: int) -> dict:
    """The collection's slice of a study with ``each`` datasets a family."""
    tasks = {f"task{i}": f"{family}_0" for i, family in zip(range(TASKS), cycle(KINDS))}
    datasets = {
        f"{family}_{i}": {"family": family, "kind": kind, "metric": METRICS[kind]}
        for family, kind in KINDS.items()
        for i in range(each)
    }
    arms = {"base": {"method": None, "train_task": None, "seed": None}} | {
        f"full.{task}.s{seed}": {"method": "full", "train_task": task, "seed": seed}
        for task in tasks
        for seed in range(SEEDS)
    }
    return {
        "study": RESULTS_OF.study,
        "model": "made-up",
        "checkpoints": {
            f"step{step}": {"step": step, "tokens": 4_000_000 * step}
            for step in range(1000, 1000 * CHECKPOINTS + 1, 1000)
        },
        "arms": arms,
        "datasets": datasets,
        "in_domain": {task: [dataset] for task, dataset in tasks.items()},
        "task_family": {task: dataset.rsplit("_", 1)[0] for task, dataset in tasks.items()},
        "scores": [[dataset, name, 0] for dataset in datasets for name in FORMATS],
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


def link_cells(study: dict, root: Path) -> int:
    """Write ``DISTINCT`` files a dataset and link every cell to one of them; return how many."""
    rng = np.random.default_rng(0)
    pool, evaluations = root / "pool", root / RESULTS_OF.evaluations
    pool.mkdir(parents=True)
    for name, about in study["datasets"].items():
        for number in range(DISTINCT):
            answers(name, about["kind"], EXAMPLES, rng).write_parquet(
                pool / f"{name}.{number}.parquet"
            )
    cells = study_cells(study)
    for checkpoint in study["checkpoints"]:
        for arm in study["arms"]:
            (evaluations / checkpoint / arm).mkdir(parents=True)
    numbers = rng.integers(0, DISTINCT, len(cells)).tolist()
    for cell, number in zip(cells, numbers, strict=True):
        os.link(pool / f"{cell[2]}.{number}.parquet", cell_path(evaluations, *cell))
    return len(cells)


def collect(study: dict, root: Path) -> dict[str, float]:
    """Collect a study whose files, and what was collected before, are below ``root``."""
    slices = {"study": study, "arms": {"checkpoints": {}, "arms": {}, "sweeps": {}}, "pins": []}
    for name, content in slices.items():
        (root / f"{name}.json").write_text(json.dumps(content))
    files = [part for name in slices for part in (f"--{name}", f"{name}.json")]
    return asdict(measure([sys.executable, str(SCRIPTS / "collect_cells.py"), *files], root)[0])


def analyse(root: Path) -> dict[str, float]:
    """Cost of `analyse.py` for all tables."""
    files = [part for name in ("cells", "replicates")
             for part in (f"--{name}", RESULTS_OF.table(name))]  # fmt: skip
    command = [sys.executable, str(SCRIPTS / "analyse.py"), *files]
    command += ["--output-dir", RESULTS_OF.tables, "--tables", *TABLES]
    return asdict(measure(command, root)[0])


def measure_size(size: int, root: Path) -> dict:
    """Make a study of ``size`` cells up in ``root``, collect and analyse it."""
    study = scaled_study(SIZES[size])
    cells = link_cells(study, root)
    *before, _ = study["checkpoints"].items()
    parts = (root / RESULTS_OF.collected).rglob
    return {
        "cells": cells,
        "rows": cells * EXAMPLES,
        "collect": collect(study | {"checkpoints": dict(before)}, root),
        "collect_new_checkpoint": collect(study, root),
        "collect_nothing_new": collect(study, root),
        "bytes": {
            "parts": sum(file.stat().st_size for file in parts("*.parquet")),
            "replicates": (root / RESULTS_OF.table("replicates")).stat().st_size,
        },
        "analyse": analyse(root),
    }


@program
def main(
    sizes: tyro.conf.Positional[tuple[int, ...]] = tuple(SIZES),
    output: Path = RESULTS / "scale.json",
) -> None:
    """Measure the sizes, print and write the figures.

    Args:
        sizes: 30000, 90000, 300000
        output: JSON file
    """
    for size in sizes:
        with tempfile.TemporaryDirectory() as root:
            found = machine() | measure_size(size, Path(root))
        keep(output, str(size), found)
        print(size, json.dumps(found, indent=1), flush=True)
