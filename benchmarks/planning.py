"""How long a dry run takes, and how much memory, as the grid grows.

The paper's grid (`config/olmo-1b.yaml`), then grids of more checkpoints, tasks and seeds on the
same datasets, up to 80 checkpoints x 8 tasks x 3 seeds. Nothing is fetched or computed.

    python benchmarks/planning.py      # a table, and benchmarks/results/planning.json
"""

import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import yaml
from usage import measure

REPOSITORY = Path(__file__).resolve().parents[1]
RESULT = REPOSITORY / "benchmarks/results/planning.json"
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


SIZES = [Size(8, 4, 1), Size(20, 4, 1), Size(40, 4, 2), Size(80, 8, 1), Size(80, 8, 3)]


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


def main() -> None:
    """Measure all sizes, print a table, write the result file."""
    rows = []
    print(f"{'grid':<16}{'models':>8}{'jobs':>8}{'cells':>9}{'s':>8}{'CPU s':>8}{'GiB':>7}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        studies = [REPOSITORY / "config/olmo-1b.yaml"]
        for size in SIZES[1:]:
            study = folder / f"{size.checkpoints}-{size.tasks}-{size.seeds}.yaml"
            study.write_text(yaml.safe_dump(large_study(size)))
            studies.append(study)
        for study in studies:
            row = dry_run(study, folder / "work")
            rows.append(row)
            print(
                f"{row.name:<16}{row.models:>8}{row.jobs:>8}{row.cells:>9}{row.seconds:>8.1f}"
                f"{row.cpu_seconds:>8.1f}{row.peak_gib:>7.2f}",
                flush=True,
            )
    RESULT.parent.mkdir(exist_ok=True)
    result = {
        "what": "dry runs of growing grids, one after another, each in a new process",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rows": [asdict(row) for row in rows],
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
