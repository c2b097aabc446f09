"""Which claims of the README hold for other seeds and on other processors.

Runs the pocket study again and again, with other seeds of pre-training and of fine-tuning, and
with other instructions of the same processor: pre-training amplifies rounding, so other
instructions give another model, as another processor does. A claim that holds in 95 % of these
studies may be made.

    python benchmarks/claims.py          # 20 studies -> a table, and results/claims.json here
    python benchmarks/claims.py --short  # 4 of two tuned checkpoints: fails where a claim does

Call it again to go on where it stopped: what is finished in results/ stays.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from itertools import product
from pathlib import Path

import polars as pl
import yaml

from ptft.runtime.programs import program

REPOSITORY = Path(__file__).resolve().parents[1]
RECORD = REPOSITORY / "benchmarks/results/claims.json"
STUDIES = Path("results/claims")
"""folder of the studies' files, each with its model's beside it"""
INSTRUCTIONS = {
    "own": {},
    "other": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
ENOUGH = 0.95
"""of the studies have to show a claim"""

Row = dict[str, object]


@dataclass(frozen=True)
class Claim:
    """A claim of the README, and which row of a study's findings decides it.

    Attributes:
        row: values of columns that identify the row; of several, the first counts.
        holds: whether it shows the claim.
        long: not for the short form: it takes more than two tuned checkpoints, or was not
            measured with other seeds.
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
class Variant:
    """One study: seeds of pre-training and fine-tuning, and a set of instructions."""

    pretraining: int
    instructions: str
    finetuning: int

    @property
    def model(self) -> str:
        return f"pocket-{self.pretraining}-{self.instructions}"

    def write(self, short: bool) -> Path:
        """Write its study and its model; the study's file."""
        study = yaml.safe_load((REPOSITORY / "config/pocket.yaml").read_text())
        model = yaml.safe_load((REPOSITORY / "config/models/pocket.yaml").read_text())
        model["source"]["pretraining"]["seed"] = self.pretraining
        study["study"] = f"claims-{self.model}-{self.finetuning}" + ("-short" if short else "")
        study["model"] = self.model
        for group in study["finetune"].values():
            group["seeds"] = [self.finetuning]
        if short:
            first, *_, before, last = study["checkpoints"]
            study["checkpoints"] = [first, before, last]
            study["finetune"]["full"]["checkpoints"] = [before, last]
        file = STUDIES / f"{study['study']}.yaml"
        for path, content in ((file, study), (STUDIES / f"models/{self.model}.yaml", model)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    def findings(self, short: bool, cores: int) -> pl.DataFrame:
        """Run what is missing of it, and read its page's findings."""
        file = self.write(short)
        command = ["-m", "snakemake", "--cores", str(cores), "--configfile", str(file)]
        environment = os.environ | INSTRUCTIONS[self.instructions]
        subprocess.run([sys.executable, *command], env=environment, check=True)
        return pl.read_parquet(f"results/{file.stem}/tables/findings.parquet")


def variants(short: bool) -> Iterator[Variant]:
    """All studies, those of one pre-training behind one another."""
    pretraining, finetuning = (range(1), range(2)) if short else (range(2), range(5))
    return (Variant(*each) for each in product(pretraining, INSTRUCTIONS, finetuning))


def decided(claim: Claim, findings: pl.DataFrame) -> Row:
    """What a study says on a claim: the row's value, and whether the claim holds."""
    tests = [pl.col(name) == value for name, value in claim.row.items()]
    rows = findings.filter(tests).rows(named=True)
    value = rows[0]["value"] if rows else None
    return {"claim": claim.name, "value": value, "holds": bool(rows) and claim.holds(rows[0])}


def table(results: list[Row]) -> Iterator[Row]:
    """A row per claim: in how many studies it holds, median and range of its number."""
    for claim in dict.fromkeys(result["claim"] for result in results):
        own = [result for result in results if result["claim"] == claim]
        values = [result["value"] for result in own if result["value"] is not None]
        middle = statistics.median(values) if values else None
        ends = {"low": min(values, default=None), "high": max(values, default=None)}
        yield {
            "claim": claim, "holds": sum(result["holds"] for result in own), "of": len(own),
            "median": middle, **ends,
        }  # fmt: skip


@program
def main(short: bool = False, cores: int = os.cpu_count() or 1) -> int:
    """Run the studies, and print a row per claim of the README.

    Args:
        short: a part of them, whose table is not kept; fails where a claim does not hold
        cores: CPU cores
    """
    results = []
    for variant in variants(short):
        findings = variant.findings(short, cores)
        asked = [claim for claim in CLAIMS if not (short and claim.long)]
        results += [asdict(variant) | decided(claim, findings) for claim in asked]
    found = list(table(results))
    print(pl.DataFrame(found))
    if short:
        return int(any(row["holds"] < ENOUGH * row["of"] for row in found))
    about = {"machine": platform.processor(), "date": date.today().isoformat()}
    RECORD.write_text(json.dumps(about | {"claims": found, "studies": results}, indent=1) + "\n")
    return 0
