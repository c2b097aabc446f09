"""How long a study ten times the paper's size takes to collect and analyse, and in how much memory.

30,000 cells with 20 million per-example rows are made up (20 checkpoints, base and 49 tuned
arms, 10 datasets, 3 formats), then collected and analysed in a process of its own. Repeat with
`python benchmarks/analysis.py`; the result goes to the screen and to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
from usage import measure

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "scripts"
sys.path.insert(0, str(SCRIPTS))

from ptft.analysis.collect import study_cells  # noqa: E402
from ptft.paths import cell_path  # noqa: E402

FORMATS = ("default", "instruct", "io")
FAMILIES = ("nli", "paraphrase", "summarization", "question_generation", "multiple_choice")


def made_up_study(checkpoints: int, seeds: int) -> dict:
    """A study of ``checkpoints`` x (1 + 7 tasks x seeds) arms x 10 datasets x 3 formats."""
    kinds = ("classification", "classification", "generation", "generation", "multiple_choice")
    datasets = {
        f"{family}_{i}": {
            "family": family,
            "kind": kind,
            "metric": {"generation": "rougeL", "classification": "accuracy"}.get(kind, "acc_norm"),
        }
        for family, kind in zip(FAMILIES, kinds, strict=True)
        for i in range(2)
    }
    tasks = [f"{name}_0" for name in FAMILIES[:4]] + [f"{name}_1" for name in FAMILIES[:3]]
    arms = {"base": {"method": None, "train_task": None, "seed": None}} | {
        f"full.{task}.s{seed}": {"method": "full", "train_task": task, "seed": seed}
        for task in tasks
        for seed in range(seeds)
    }
    return {
        "study": "large",
        "model": "made-up",
        "checkpoints": {
            f"step{10 * 2**i}": {"step": 10 * 2**i, "tokens": 4_000_000 * 2**i}
            for i in range(checkpoints)
        },
        "arms": arms,
        "datasets": datasets,
        "in_domain": {task: [task] for task in tasks},
        "task_family": {task: task.rsplit("_", 1)[0] for task in tasks},
        "scores": [[dataset, format_name, 4] for dataset in datasets for format_name in FORMATS],
        "bootstrap": {"resamples": 3000, "seed": 0},
    }


def write_cells(study: dict, root: Path, rows: int) -> int:
    """Write the per-example files, about ``rows`` rows in all; return how many."""
    cells = study_cells(study)
    n = max(2, round(rows / len(cells)))
    rng = np.random.default_rng(0)
    shared = {}
    for name, about in study["datasets"].items():
        choices = {"classification": 3, "multiple_choice": 4}.get(about["kind"])
        logprobs = None if choices is None else [[-1.5] * choices] * n
        shared[name] = {
            "example_id": [f"{name}-{i}" for i in range(n)],
            "gold": ["yes" if i % 2 else "no" for i in range(n)],
            "logprobs": pl.Series(logprobs, dtype=pl.List(pl.Float64))
            if logprobs
            else pl.Series([None] * n, dtype=pl.List(pl.Float64)),
            "prompt_tokens": [100] * n,
            "truncated": [False] * n,
        }
    for cell in cells:
        kind = study["datasets"][cell[2]]["kind"]
        mean = rng.uniform(0.2, 0.8)
        generation = kind == "generation"
        scores = rng.beta(2, 5, n) if generation else (rng.random(n) < mean).astype(float)
        texts = [f"a text {s:.3f}" if generation else ("no", "yes")[int(s > 0.5)] for s in scores]
        path = Path(cell_path(root, *cell))
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(shared[cell[2]] | {"score": scores, "prediction": texts}).write_parquet(path)
    return n * len(cells)


def run(command: list[str]) -> dict[str, float]:
    """Run one of the workflow's programs; what it took."""
    usage, _ = measure([sys.executable, *command])
    return asdict(usage)


def main(argv: list[str] | None = None) -> None:
    """Make the study up, collect and analyse it, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--workdir", type=Path, help="keep the made-up files here")
    parser.add_argument(
        "--output", type=Path, default=REPOSITORY / "benchmarks/results/analysis-cpu.json"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        root = args.workdir or Path(temporary)
        study = made_up_study(args.checkpoints, args.seeds)
        rows = write_cells(study, root / "evaluations", args.rows)
        (root / "study.json").write_text(json.dumps(study))
        tables = root / "tables"
        result = {"cells": len(study_cells(study)), "rows": rows, "cpus": os.cpu_count()}
        result["machine"] = platform.processor() or platform.machine()
        result["collect"] = run(
            [str(SCRIPTS / "collect_cells.py"), "--study", str(root / "study.json"),
             "--evaluations", str(root / "evaluations"), "--output", str(tables / "cells.parquet"),
             "--csv", str(tables / "cells.csv"), "--missing", str(tables / "missing.csv"),
             "--replicates", str(tables / "replicates.parquet")]
        )  # fmt: skip
        result["analyse"] = run(
            [str(SCRIPTS / "analyse.py"), "--cells", str(tables / "cells.parquet"),
             "--replicates", str(tables / "replicates.parquet"), "--output-dir", str(tables)]
        )  # fmt: skip
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
