"""How long a dry run takes, and how much memory, as the grid grows.

The paper's grid (`config/olmo-1b.yaml`), then grids of more checkpoints, tasks and seeds on the
same datasets; what Snakemake alone takes for as many jobs; what every cluster job spends on reading
the Snakefile. Nothing is fetched or computed.

    python benchmarks/planning.py             # a table, and benchmarks/results/planning.json
    python benchmarks/planning.py --million   # 1,000,000 cells alone: results/planning-million.json
"""

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from frame import REPOSITORY, RESULTS, Usage, keep, machine, measure

from ptft.runtime.programs import program

# A plan reads no data: the pocket world's tasks stand in for four more of the paper's kind.
TASKS = ["mnli", "paws", "xsum", "socialiqa"]
TASKS += ["pocket_nli", "pocket_paraphrase", "pocket_summary", "pocket_question"]
LARGE = [(40, 4, 2), (80, 8, 3)]
"""checkpoints, tasks, seeds: grids of 18,000 and 100,000 cells, beside the paper's 2,400"""
MILLION = (800, 8, 3)
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
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--cores", "1"]


@dataclass(frozen=True)
class Measured(Usage):
    """Cost of a dry run."""

    models: int
    jobs: int
    cells: int


def large_study(size: tuple[int, int, int]) -> dict:
    """The paper's study, enlarged."""
    checkpoints, tasks, seeds = size
    study = yaml.safe_load((REPOSITORY / "config/olmo-1b.yaml").read_text())
    full = study["finetune"]["full"]
    full |= {"tasks": {task: {} for task in TASKS[:tasks]}, "seeds": list(range(seeds))}
    study["finetune"] = {"full": full}
    study["data"].pop("train_of", None)  # of tasks that may not be among these
    study["checkpoints"] = [f"step{1000 * (i + 1)}" for i in range(checkpoints)]
    study["study"] = f"grid-{checkpoints}-{tasks}-{seeds}"
    return study


def dry_run(study: Path, folder: Path) -> Measured:
    """Plan a study in an empty folder, in a process of its own.

    Raises:
        RuntimeError: Snakemake refused, with what it said.
    """
    options = ["-n", "--quiet", "rules", "--snakefile", str(REPOSITORY / "Snakefile")]
    usage, output = measure(
        [*SNAKEMAKE, *options, "--directory", str(folder), "--configfile", str(study)]
    )
    lines = [line.split() for line in output.splitlines()]
    found = {words[0]: words[1] for words in lines if len(words) > 1}  # the plan is last
    return Measured(
        **asdict(usage),
        models=int(found["evaluate"]),
        jobs=int(found["total"]),
        cells=int(found["cells"]),
    )


def bare_dry_run(models: int, folder: Path) -> Usage:
    """Plan as many models, trained and scored, by rules that say nothing else."""
    (folder / "Bare").write_text(BARE.format(models=models))
    options = ["-n", "--quiet", "rules", "--workflow-profile", "none", "--directory", str(folder)]
    return measure([*SNAKEMAKE, *options, "--snakefile", str(folder / "Bare")])[0]


def parse(snakefile: Path, folder: Path, *options: str) -> Usage:
    """Read a Snakefile as a cluster's job does, and end."""
    mode = ["--mode", "remote", "--list-rules", "--directory", str(folder)]
    return measure([*SNAKEMAKE, *mode, "--snakefile", str(snakefile), *options])[0]


@program
def main(million: bool = False, output: Path | None = None) -> None:
    """Measure dry runs, and reading the Snakefile.

    Args:
        million: a grid of 1,000,000 cells alone
        output: JSON file (default: in benchmarks/results)
    """
    output = output or RESULTS / f"planning{'-million' if million else ''}.json"
    keep(output, "machine", machine())

    def take(name: str, measured: Usage) -> None:
        keep(output, name, asdict(measured))
        print(f"{name}: {measured}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        studies = [REPOSITORY / "config/olmo-1b.yaml"] * (not million)
        for size in [MILLION] if million else LARGE:
            studies.append(folder / f"{'-'.join(map(str, size))}.yaml")
            studies[-1].write_text(yaml.safe_dump(large_study(size)))
        for study in studies:
            row = dry_run(study, folder / "work")
            take(study.stem, row)
            read = parse(REPOSITORY / "Snakefile", folder, "--configfile", str(study))
            take(f"reading {study.stem}", read)
        take("Snakemake alone", bare_dry_run(row.models, folder))
        (folder / "Empty").touch()
        take("reading an empty Snakefile", parse(folder / "Empty", folder))
