"""How long a dry run takes, and how much memory, as the grid grows.

The paper's grid (`config/olmo-1b.yaml`), then grids of more checkpoints, tasks and seeds on the
same datasets, up to 80 checkpoints x 8 tasks x 3 seeds; what Snakemake alone takes for as many
jobs; what every cluster job spends on reading the Snakefile. Nothing is fetched or computed.

    python benchmarks/planning.py             # a table, and benchmarks/results/planning.json
    python benchmarks/planning.py --million   # 1,000,000 cells alone: results/planning-million.json
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import yaml
from usage import Usage, measure

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks/results"
PAPER_TASKS = ["mnli", "paws", "xsum", "socialiqa"]
# A plan reads no data: the pocket world's tasks stand in for four more of the paper's kind.
MORE_TASKS = ["pocket_nli", "pocket_paraphrase", "pocket_summary", "pocket_question"]


@dataclass(frozen=True)
class Size:
    """How large a grid is."""

    checkpoints: int
    tasks: int
    seeds: int

    @property
    def models(self) -> int:
        """Models that are evaluated: each checkpoint as it is and each fine-tuned one."""
        return self.checkpoints * (1 + self.tasks * self.seeds)


BARE = """
models = range({models})
rule all:
    input: expand("scored/{{model}}", model=models)
rule finetune:
    output: "tuned/{{model}}"
    shell: "touch {{output}}"
rule evaluate:
    input: "tuned/{{model}}"
    output: "scored/{{model}}"
    shell: "touch {{output}}"
"""
SIZES = [Size(8, 4, 1), Size(20, 4, 1), Size(40, 4, 2), Size(80, 8, 1), Size(80, 8, 3)]
MILLION = Size(800, 8, 3)
PARSED = [Size(1, 1, 1), Size(80, 8, 3), MILLION]
"""grids of 100, 100,000 and 1,000,000 cells"""


@dataclass(frozen=True)
class Measured:
    """What a dry run took."""

    name: str
    checkpoints: int
    models: int
    jobs: int
    cells: int
    seconds: float
    cpu_seconds: float
    peak_gib: float


def large_study(size: Size) -> dict:
    """The paper's study, enlarged."""
    study = yaml.safe_load((REPOSITORY / "config/olmo-1b.yaml").read_text())
    full = study["finetune"]["full"]
    full["tasks"] = {task: {} for task in (PAPER_TASKS + MORE_TASKS)[: size.tasks]}
    full["seeds"] = list(range(size.seeds))
    study["finetune"] = {"full": full}
    study["data"].pop("train_of", None)  # of tasks that may not be among these
    study["checkpoints"] = [f"step{1000 * (i + 1)}" for i in range(size.checkpoints)]
    study["study"] = f"grid-{size.checkpoints}-{size.tasks}-{size.seeds}"
    return study


def dry_run(study: Path, folder: Path) -> Measured:
    """Plan a study in an empty folder, in a process of its own.

    Raises:
        RuntimeError: Snakemake refused, with what it said.
    """
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "1"]
    options = ["--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(folder)]
    usage, output = measure([*command, *options, "--configfile", str(study)])
    content = yaml.safe_load(study.read_text())
    numbers = {line.split()[0]: line.split()[-1] for line in output.splitlines() if line.split()}
    cells = next(line.split() for line in output.splitlines() if line.startswith("  cells "))
    models = next(line.split() for line in output.splitlines() if line.startswith("  evaluate "))
    return Measured(
        name=content["study"],
        checkpoints=len(content["checkpoints"]),
        models=int(models[1]),
        jobs=int(numbers["total"]),
        cells=int(cells[1]),
        **asdict(usage),
    )


def parse(snakefile: Path, folder: Path, *options: str) -> Usage:
    """Read a Snakefile as a cluster's job does, and end."""
    command = [sys.executable, "-m", "snakemake", "--mode", "remote", "--list-rules"]
    where = ["--cores", "1", "--snakefile", str(snakefile), "--directory", str(folder)]
    return measure([*command, *where, *options])[0]


def parses(folder: Path) -> dict[str, Usage]:
    """What cluster jobs spend on reading: an empty Snakefile, then ours on growing grids."""
    empty = folder / "Snakefile"
    empty.touch()
    rows = {"an empty Snakefile": parse(empty, folder)}
    for size in PARSED:
        study = write_study(size, folder)
        cells = f"{50 * size.models} cells"
        rows[cells] = parse(REPOSITORY / "Snakefile", folder, "--configfile", str(study))
    return rows


def bare_dry_run(models: int, folder: Path) -> Usage:
    """Plan as many models, trained and scored, by rules that say nothing else."""
    snakefile = folder / "Snakefile"
    snakefile.write_text(BARE.format(models=models))
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "1"]
    options = ["--workflow-profile", "none", "--directory", str(folder)]
    return measure([*command, *options, "--snakefile", str(snakefile)])[0]


def write_study(size: Size, folder: Path) -> Path:
    """The file of an enlarged study."""
    study = folder / f"{size.checkpoints}-{size.tasks}-{size.seeds}.yaml"
    study.write_text(yaml.safe_dump(large_study(size)))
    return study


def plan(studies: list[Path], models: int, folder: Path) -> dict:
    """Plan studies one after another, then as many models by Snakemake alone; print a table."""
    rows = []
    print(f"{'grid':<16}{'models':>8}{'jobs':>8}{'cells':>9}{'s':>8}{'CPU s':>8}{'GiB':>7}")
    for study in studies:
        row = dry_run(study, folder / "work")
        rows.append(asdict(row))
        print(
            f"{row.name:<16}{row.models:>8}{row.jobs:>8}{row.cells:>9}{row.seconds:>8.1f}"
            f"{row.cpu_seconds:>8.1f}{row.peak_gib:>7.2f}",
            flush=True,
        )
    bare = bare_dry_run(models, folder)
    print(f"Snakemake alone, {2 * models} jobs: {bare}", flush=True)
    return {
        "what": "dry runs of growing grids, one after another, each in a new process",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rows": rows,
        "snakemake_alone": {"jobs": 2 * models, **asdict(bare)},
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="the largest grid alone")
    million = parser.parse_args(argv).million
    sizes = [MILLION] if million else SIZES
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        studies = [write_study(size, folder) for size in sizes]
        if not million:
            studies[0] = REPOSITORY / "config/olmo-1b.yaml"
        result = plan(studies, sizes[-1].models, folder)
        if not million:
            read = parses(folder)
            for name, usage in read.items():
                print(f"reading, {name}: {usage}", flush=True)
            result["read_by_a_job"] = {name: asdict(usage) for name, usage in read.items()}
    name = "planning-million" if million else "planning"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
