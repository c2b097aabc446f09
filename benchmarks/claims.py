"""Which claims of the README hold for other seeds and on other processors.

Runs the pocket study with other seeds of pre-training and of fine-tuning, and with other
instructions of the same processor: pre-training amplifies rounding, so other instructions give
another model, as another processor does. Each seed of fine-tuning is judged by itself, as the page
of a study with this seed would. A claim that holds in 95 % of the cases may be made.

    python benchmarks/claims.py            # 4 models, 5 seeds -> tables, and results/claims.json
    python benchmarks/claims.py --seeds 2  # fewer of them; call again with more
    python benchmarks/claims.py --short    # 2 and 2, fewer checkpoints: fails where a claim does

Call it again to go on where it stopped: what is finished in results/ stays.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from itertools import product
from pathlib import Path

import polars as pl
import yaml

from ptft.analysis.findings import findings_table
from ptft.analysis.findings_of_study import read_trained
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table
from ptft.analysis.tuned_models import with_chosen
from ptft.paths import Results
from ptft.report.page import study_findings
from ptft.runtime.programs import program

REPOSITORY = Path(__file__).resolve().parents[1]
RECORD = REPOSITORY / "benchmarks/results/claims.json"
STUDIES = Path("results/claims")
"""folder of the studies' files, each with its model's beside it"""
INSTRUCTIONS = {
    "own": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "plain": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
ENOUGH = 0.95
"""of the cases have to show a claim"""

Row = dict[str, object]
TRAINING = ["method", "train_task", "checkpoint"]


@dataclass(frozen=True)
class Claim:
    """A claim of the README, and which row of a study's findings decides it.

    Attributes:
        row: values of columns that identify the row; of several, the first counts.
        holds: whether it shows the claim.
        long: not for the short form: it takes more than two tuned checkpoints, or LoRA.
    """

    name: str
    row: Row
    holds: Callable[[Row], bool]
    long: bool = False


def rises(row: Row) -> bool:
    """Whether the interval is above zero."""
    return (row["ci_low"] or 0) > 0


def falls(row: Row) -> bool:
    """Whether the interval is below zero."""
    return (row["ci_high"] or 0) < 0


CLAIMS = (
    Claim("pre-training teaches some tasks", {"kind": "taught"}, rises),
    Claim("fine-tuning adds where pre-training has not taught", {"kind": "added"}, rises),
    Claim(
        "later checkpoints gain more on these",
        {"kind": "gain_claim"},
        lambda row: row["verdict"] == "holds",
        long=True,
    ),
    Claim(
        "tuning on classification loses generation",
        {"kind": "direction", "direction": "classification>generation", "method": "full"},
        falls,
    ),
    Claim("other formats cost", {"kind": "formats"}, falls),
    Claim(
        "a remedy keeps more",
        {"kind": "spared"},
        lambda row: row["verdict"] == "keeps more",
        long=True,
    ),
)


@dataclass(frozen=True)
class Model:
    """A model of the pocket study: its seed, and the instructions that all of its study uses."""

    pretraining: int
    instructions: str

    @property
    def name(self) -> str:
        return f"pocket-{self.pretraining}-{self.instructions}"

    def write(self, seeds: int, short: bool) -> Path:
        """Write its study, with so many seeds of fine-tuning, and its model; the study's file."""
        study = yaml.safe_load((REPOSITORY / "config/pocket.yaml").read_text())
        model = yaml.safe_load((REPOSITORY / "config/models/pocket.yaml").read_text())
        model["source"]["pretraining"]["seed"] = self.pretraining
        study["study"] = f"claims-{self.name}" + ("-short" if short else "")
        study["model"] = self.name
        if short:
            first, *_, before, last = study["checkpoints"]
            study["checkpoints"] = [first, before, last]
            full = study["finetune"]["full"]
            study["finetune"] = {"full": full | {"checkpoints": [before, last]}}
            del study["derive"], study["data"]["train_of"]
        for group in study["finetune"].values():
            group["seeds"] = [*range(seeds)]
        file = STUDIES / f"{study['study']}.yaml"
        for path, content in ((file, study), (STUDIES / f"models/{self.name}.yaml", model)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    def run(self, seeds: int, short: bool, cores: int) -> Results:
        """Run what is missing of its study, up to its scores."""
        file = self.write(seeds, short)
        results = Results(file.stem)
        targets = [results.table("cells"), results.resolved]
        command = ["-m", "snakemake", *targets, "--cores", str(cores), "--configfile", str(file)]
        command += ["--logger-ptft-previews", "0"]
        environment = os.environ | INSTRUCTIONS[self.instructions]
        if subprocess.run([sys.executable, *command], env=environment).returncode:
            sys.exit(f"error: {file}: Snakemake says above what failed")
        return results


def models(short: bool, instructions: Iterable[str]) -> Iterator[Model]:
    """All models."""
    return (Model(*each) for each in product(range(1 if short else 2), instructions))


def findings(results: Results, seed: int) -> pl.DataFrame:
    """Findings of a study's page if this were its only seed of fine-tuning."""
    resolved = yaml.safe_load(Path(results.resolved).read_text())
    settings = Settings(**resolved["study"]["analysis"])
    of_seed = pl.col("seed").is_null() | (pl.col("seed") == seed)
    cells, arms = (pl.read_parquet(results.table(t)).filter(of_seed) for t in ("cells", "arms"))
    drawn = pl.scan_parquet(results.table("replicates"))
    scores = with_chosen(Scores.build(cells, drawn), arms)
    tables = {name: make_table(name, scores, settings) for name in TABLES}
    tables |= {"cells": cells, "arms": arms}
    found = study_findings(resolved, tables, read_trained(), Path(results.table("cells")).parent)
    return findings_table(found, [None] * len(found))


def decided(claim: Claim, findings: pl.DataFrame) -> Row:
    """The findings' answer to a claim: the row's value, and whether the claim holds."""
    tests = [pl.col(name) == value for name, value in claim.row.items()]
    rows = findings.filter(tests).rows(named=True)
    value = rows[0]["value"] if rows else None
    return {"claim": claim.name, "value": value, "holds": bool(rows) and claim.holds(rows[0])}


def table(results: list[Row]) -> Iterator[Row]:
    """A row per claim: in how many cases it holds, median and range of its number."""
    for claim in dict.fromkeys(result["claim"] for result in results):
        own = [result for result in results if result["claim"] == claim]
        values = [result["value"] for result in own if result["value"] is not None]
        middle = statistics.median(values) if values else None
        ends = {"low": min(values, default=None), "high": max(values, default=None)}
        yield {
            "claim": claim, "holds": sum(result["holds"] for result in own), "of": len(own),
            "median": middle, **ends,
        }  # fmt: skip


def write(claims: list[Row], results: list[Row], trainings: pl.DataFrame) -> None:
    """Keep what was found so far."""
    about = {"machine": platform.processor(), "date": date.today().isoformat()}
    record = about | {"claims": claims, "cases": results, "trainings": trainings.to_dicts()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


@program
def main(
    short: bool = False,
    seeds: int = 5,
    instructions: tuple[str, ...] = ("own", "avx2"),
    cores: int = os.cpu_count() or 1,
) -> int:
    """Run the studies; print a row per claim of the README, and which trainings learned.

    Args:
        short: a part of them, whose tables are not kept; fails where a claim does not hold
        seeds: of fine-tuning; two in the short form
        instructions: of the processor: own, avx2, plain
        cores: CPU cores
    """
    seeds = 2 if short else seeds
    asked = [claim for claim in CLAIMS if not (short and claim.long)]
    results, trained = [], []
    for model in models(short, instructions):
        study = model.run(seeds, short, cores)
        about = [pl.lit(value).alias(name) for name, value in asdict(model).items()]
        arms = pl.read_parquet(study.table("arms")).with_columns(about)
        trained.append(arms.select(*asdict(model), *TRAINING, "seed", "learned"))
        for seed in range(seeds):
            found, case = findings(study, seed), asdict(model) | {"finetuning": seed}
            results += [case | decided(claim, found) for claim in asked]
        claims, trainings = list(table(results)), pl.concat(trained)
        if not short:
            write(claims, results, trainings)
    learned = trainings.group_by(TRAINING, maintain_order=True).agg(pl.sum("learned"), of=pl.len())
    with pl.Config(tbl_rows=-1, fmt_str_lengths=60):
        print(pl.DataFrame(claims), learned)
    return int(short and any(row["holds"] < ENOUGH * row["of"] for row in claims))
