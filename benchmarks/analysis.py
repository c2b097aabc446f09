"""How long studies take to collect and analyse, and in how much memory.

Studies are made up, then collected and analysed in processes of their own: `large`, ten times the
paper's size (30,000 cells with 20 million per-example rows: 20 checkpoints, base and 49 tuned arms,
10 datasets, 3 formats), and the grids of `config/remedies.yaml` and `config/overtraining.yaml`.
Repeat with `python benchmarks/analysis.py`, or the names of some behind it; the result goes to the
screen and to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import yaml
from made_up import KINDS, answers, made_up_study, text_cell
from usage import measure

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "scripts"
sys.path.insert(0, str(SCRIPTS))

from ptft.analysis.collect import study_cells  # noqa: E402
from ptft.paths import cell_path  # noqa: E402
from ptft.study import read_study  # noqa: E402
from ptft.study.slices import arms_slice, collection_slice  # noqa: E402

LARGE, SHIPPED = "large", ("remedies", "overtraining")
TEST_ROWS = 2000
"""examples of a dataset in the shipped studies"""
TASKS = [f"{family}_0" for family in (*KINDS,)[:4]] + [f"{family}_1" for family in (*KINDS,)[:3]]
"""of `large`: each is trained and tested on a dataset of its own"""


def write_cells(study: dict, root: Path, rows: int) -> int:
    """Write the per-example files, about ``rows`` rows in all; return how many."""
    cells = study_cells(study)
    n = max(2, round(rows / len(cells)))
    rng = np.random.default_rng(0)
    for cell in cells:
        _, arm, dataset, *_ = cell
        kind = study["datasets"][dataset]["kind"]
        path = Path(cell_path(root, *cell))
        path.parent.mkdir(parents=True, exist_ok=True)
        made_up = (
            text_cell(n, arm == "base", rng) if kind == "text" else answers(dataset, kind, n, rng)
        )
        made_up.write_parquet(path)
    return n * len(cells)


def run(command: list[str]) -> dict[str, float]:
    """Run one of the workflow's programs; what it took."""
    usage, _ = measure([sys.executable, *command])
    return asdict(usage)


def shipped_study(name: str) -> tuple[dict, dict]:
    """The slices of a study of config/ that its cells and its table `arms` are collected by."""
    file = REPOSITORY / f"config/{name}.yaml"
    grid = read_study(yaml.safe_load(file.read_text()), [file], REPOSITORY / "config")
    return collection_slice(grid), arms_slice(grid)


def write_records(about: dict, models: Path) -> None:
    """What each tuned model would note of its training."""
    rng = np.random.default_rng(0)
    for checkpoint, arm in product(about["checkpoints"], about["arms"]):
        folder = models / checkpoint / arm
        folder.mkdir(parents=True, exist_ok=True)
        noted = {
            "loss": 0.5,
            "validation_loss": rng.uniform(0.3, 0.6),
            "kl_from_base": rng.random(),
        }
        (folder / "training.json").write_text(json.dumps(noted))


def collect(study: dict, root: Path, tables: Path, *arms: str) -> dict[str, float]:
    """Collect a study whose files, and what was collected before, are below ``root``."""
    (root / "study.json").write_text(json.dumps(study))
    return run(
        [str(SCRIPTS / "collect_cells.py"), "--study", str(root / "study.json"),
         "--evaluations", str(root / "evaluations"), "--parts", str(root / "parts"),
         "--tables", str(tables), *arms]
    )  # fmt: skip


def measure_study(study: dict, root: Path, rows: int, about: dict | None = None) -> dict:
    """Make a study up in ``root``, collect and analyse it; what that took.

    Args:
        about: slice of its table `arms`; None where there is none.
    """
    rows = write_cells(study, root / "evaluations", rows)
    tables = root / "tables"
    cells, replicates = (str(tables / f"{name}.parquet") for name in ("cells", "replicates"))
    result = {"cells": len(study_cells(study)), "rows": rows}
    # All checkpoints but the last, then that one, which reads its own files alone.
    *before, _ = study["checkpoints"].items()
    result["collect"] = collect(study | {"checkpoints": dict(before)}, root, tables)
    arms = []
    if about is not None:
        write_records(about, root / "models")
        (root / "arms.json").write_text(json.dumps(about))
        arms = ["--arms", str(root / "arms.json"), "--models", str(root / "models")]
    result["collect_new_checkpoint"] = collect(study, root, tables, *arms)
    arms = ["--arms", str(tables / "arms.parquet")] if arms else []
    result["analyse"] = run(
        [str(SCRIPTS / "analyse.py"), "--cells", cells, "--replicates", replicates, *arms,
         "--output-dir", str(tables)]
    )  # fmt: skip
    return result


def main(argv: list[str] | None = None) -> None:
    """Measure the studies, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", default=[LARGE, *SHIPPED], help="default: all")
    parser.add_argument("--checkpoints", type=int, default=20, help=f"of {LARGE}")
    parser.add_argument("--seeds", type=int, default=7, help=f"of {LARGE}")
    parser.add_argument("--rows", type=int, default=20_000_000, help=f"of {LARGE}")
    parser.add_argument("--workdir", type=Path, help="keep the made-up files here")
    parser.add_argument(
        "--output", type=Path, default=REPOSITORY / "benchmarks/results/analysis-cpu.json"
    )
    args = parser.parse_args(argv)
    result = json.loads(args.output.read_text()) if args.output.exists() else {}
    for name in args.studies:
        with tempfile.TemporaryDirectory() as temporary:
            root = (args.workdir or Path(temporary)) / name
            root.mkdir(parents=True, exist_ok=True)
            if name == LARGE:
                steps = [10 * 2**i for i in range(args.checkpoints)]
                tasks = {task: task for task in TASKS}
                study = made_up_study(LARGE, steps, tasks, args.seeds, each=2, shots=4)
                found = measure_study(study, root, args.rows)
            else:
                study, about = shipped_study(name)
                cells = len(study_cells(study))
                found = measure_study(study, root, TEST_ROWS * cells, about)
        machine = platform.processor() or platform.machine()
        result[name] = {"cpus": os.cpu_count(), "machine": machine} | found
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
