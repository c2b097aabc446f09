"""How collection and analysis grow: studies of 30,000, 90,000 and 300,000 cells.

80 checkpoints x (base + 8 tasks x 3 seeds) x datasets x 3 formats, 667 examples a cell, 3,000
resamples. Each is collected without its last checkpoint, then with it, then once more with nothing
new, and analysed. Cells of a dataset share ``DISTINCT`` made-up files by hard links, so that
300,000 of them fit on a small disk; every one is read and scored like a file of its own.

    python benchmarks/scale.py                        # benchmarks/results/scale.json
    python benchmarks/scale.py 30000 --workdir DIR    # keeps the study
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import date
from itertools import cycle
from pathlib import Path

import numpy as np
from analysis import REPOSITORY, SCRIPTS, collect
from made_up import KINDS, answers, made_up_study
from usage import measure

from ptft.analysis.collect import study_cells
from ptft.analysis.tables import TABLES
from ptft.paths import cell_path

SIZES = {30_000: 1, 90_000: 3, 300_000: 10}
"""cells -> datasets a family"""
CHECKPOINTS, TASKS, SEEDS, EXAMPLES = 80, 8, 3, 667
DISTINCT = 48


def scaled_study(each: int) -> dict:
    """The collection's slice of a study with ``each`` datasets a family."""
    steps = [1000 * i for i in range(1, CHECKPOINTS + 1)]
    tasks = {f"task{i}": f"{family}_0" for i, family in zip(range(TASKS), cycle(KINDS))}
    return made_up_study("scaled", steps, tasks, SEEDS, each, shots=0)


def link_cells(study: dict, root: Path) -> int:
    """Write ``DISTINCT`` files a dataset and link every cell to one of them; return how many."""
    rng = np.random.default_rng(0)
    pool = root.with_name("pool")
    pool.mkdir(parents=True, exist_ok=True)
    for name, about in study["datasets"].items():
        for number in range(DISTINCT):
            answers(name, about["kind"], EXAMPLES, rng).write_parquet(
                pool / f"{name}.{number}.parquet"
            )
    cells = study_cells(study)
    for checkpoint in study["checkpoints"]:
        for arm in study["arms"]:
            (root / checkpoint / arm).mkdir(parents=True, exist_ok=True)
    numbers = rng.integers(0, DISTINCT, len(cells)).tolist()
    for cell, number in zip(cells, numbers, strict=True):
        os.link(pool / f"{cell[2]}.{number}.parquet", cell_path(root, *cell))
    return len(cells)


def analyse(tables: Path, names: list[str], output: Path) -> dict[str, float]:
    """What `analyse.py` takes for some tables."""
    files = {f"--{name}": str(tables / f"{name}.parquet") for name in ("cells", "replicates")}
    arguments = [part for pair in files.items() for part in pair]
    usage, _ = measure(
        [sys.executable, str(SCRIPTS / "analyse.py"), *arguments, "--output-dir", str(output),
         "--tables", *names]
    )  # fmt: skip
    return asdict(usage)


def measure_size(size: int, root: Path, each_table: bool) -> dict:
    """Make a study of ``size`` cells up in ``root``, collect and analyse it."""
    study, tables = scaled_study(SIZES[size]), root / "tables"
    if not (root / "evaluations").exists():
        link_cells(study, root / "evaluations")
    cells = len(study_cells(study))
    result = {"cells": cells, "rows": cells * EXAMPLES}
    *before, _ = study["checkpoints"].items()
    result["collect"] = collect(study | {"checkpoints": dict(before)}, root, tables)
    result["collect_new_checkpoint"] = collect(study, root, tables)
    result["collect_nothing_new"] = collect(study, root, tables)
    parts = sum(file.stat().st_size for file in (root / "parts").rglob("*.parquet"))
    result["bytes"] = {
        "parts": parts,
        "replicates": (tables / "replicates.parquet").stat().st_size,
    }
    result["analyse"] = analyse(tables, [*TABLES], tables)
    if each_table:
        result["tables"] = {name: analyse(tables, [name], tables) for name in TABLES}
    return result


def main(argv: list[str] | None = None) -> None:
    """Measure the sizes, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, choices=SIZES, default=list(SIZES))
    parser.add_argument("--each-table", action="store_true", help="by itself, too")
    parser.add_argument("--workdir", type=Path, help="keep the made-up files here")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "benchmarks/results/scale.json")
    args = parser.parse_args(argv)
    result = json.loads(args.output.read_text()) if args.output.exists() else {}
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            root = (args.workdir or Path(temporary)) / str(size)
            root.mkdir(parents=True, exist_ok=True)
            found = measure_size(size, root, args.each_table)
        about = {"cpus": os.cpu_count(), "machine": platform.machine(), "date": str(date.today())}
        result[str(size)] = about | found
        args.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
