"""The tables of the audit: what the checks of a study found, side by side.

``audit_splits`` has a row per dataset and split: rows, dropped rows, balance, duplicates, overlap
with training rows and shots, lengths. ``audit_prompts`` has a row per dataset, format and number
of shots: how long the prompts are and how many do not fit. Nothing waits for them: what compares
datasets (rows that are both trained on and evaluated) is told here and refuses nothing.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
from typing_extensions import TypedDict

from ptft.analysis.csv_tables import write_table
from ptft.audit.checks import ScoredSlice, TrainedSlice, check_scored, check_trained, contents
from ptft.audit.tokenizers import read_tokenizer
from ptft.files import read_all, read_slice
from ptft.versions import CHECKS_VERSION

log = logging.getLogger(__name__)


SPLIT_COLUMNS = {
    "dataset": pl.String,
    "split": pl.String,
    "source": pl.String,
    "rows": pl.Int64,
    "kept": pl.Int64,
    "used": pl.Int64,
    "dropped": pl.String,
    "gold": pl.String,
    "largest_share": pl.Float64,
    "duplicates": pl.Int64,
    "empty_fields": pl.Int64,
    "also_in_train": pl.Int64,
    "also_in_shots": pl.Int64,
    "tokens_mean": pl.Float64,
    "tokens_median": pl.Float64,
    "tokens_max": pl.Int64,
    "cut": pl.Int64,
    "unlearned": pl.Int64,
    "gold_score": pl.Float64,
    "warning": pl.String,
}
PROMPT_COLUMNS = {
    "dataset": pl.String,
    "format": pl.String,
    "shots": pl.Int64,
    "prompts": pl.Int64,
    "tokens_median": pl.Float64,
    "tokens_max": pl.Int64,
    "context_length": pl.Int64,
    "truncated": pl.Int64,
}
ABOUT = {
    "audit_splits": (
        "What is in each prepared split. rows: in the source; kept: with a gold answer; used: "
        "drawn for the study; dropped: why the others were left out; gold: how often each answer "
        "is right; largest_share: of the most frequent answer; duplicates, empty_fields: among "
        "the rows used; also_in_train, also_in_shots: rows of a test split that some task is "
        "trained on, or that shots are drawn from; tokens: of an example with its answer, "
        "without shots; cut: training examples whose prompt is shortened, or whose end is cut off, "
        "to fit max_length and the context; unlearned: those of them that keep no answer and are "
        "left out; gold_score: what the gold answers themselves would earn under the stop "
        "strings and the length that a generation ends at."
    ),
    "audit_prompts": (
        "How long the prompts of each cell are, shots included, under the model's tokenizer. "
        "truncated: prompts that lost shots, or the tail of their longest field, so as to fit. "
        "Text has no prompts: there these are the windows that it is read in."
    ),
    "self_text": (
        "What the checkpoints wrote for their replay, a row per checkpoint and way of writing "
        "(what texts begin with, their number and most tokens, the temperature). tokens_mean: "
        "written tokens of a text; ended: share that the checkpoint ended itself; repetition: mean "
        "share of passages of four tokens that the same text has had before; duplicates: share of "
        "texts that equal an earlier one; shown: the first ten, as a JSON list."
    ),
}


class ChecksSlice(TypedDict):
    """All that puts the checks of a study into tables."""

    __pydantic_config__ = {"extra": "forbid"}

    version: int
    splits: list[tuple[str, str]]
    sources: dict[str, str]


def check_data(plan: Path, data: Path, tokenizer: Path, output: Path) -> None:
    """Check the data that models are scored on, or trained on; a refusal ends in an error.

    Args:
        plan: the check's slice, JSON file
        data: folder of prepared datasets
        tokenizer: the study's, as take_tokenizer.py left it
        output: what was counted, JSON file
    """
    found = json.dumps(run_check(plan, data, tokenizer), indent=1, ensure_ascii=False)
    output.write_text(f"{found}\n", encoding="utf-8")


def run_check(plan: Path, data: Path, tokenizer: Path) -> dict:
    """Counts of a check, the check's ``plan``, and the ``version`` of the checks.

    Raises:
        AuditError: the study can't be run as described.
    """
    known, length = read_tokenizer(tokenizer)
    found = read_slice(plan, ScoredSlice | TrainedSlice)
    check = check_scored if "scoring" in found else check_trained
    counted = check(found, data, known, length)
    return {"version": CHECKS_VERSION, "plan": str(plan), **counted}


def collect_self_text(texts: tuple[Path, ...], output: Path) -> None:
    """Tell what the texts are like that checkpoints wrote for their replay, as parquet and CSV.

    Args:
        texts: of checkpoints, CHECKPOINT/NAME.jsonl
        output: table to write, parquet
    """
    from ptft.training.self_text import quality  # imports torch

    rows = [{"checkpoint": f.parent.name, "text": f.stem, **quality(read_all(f))} for f in texts]
    write_table(pl.DataFrame(rows), output)


def collect_checks(
    plan: Path,
    checks: tuple[Path, ...],
    data: Path,
    tokenizer: Path,
    splits: Path,
    prompts: Path,
) -> None:
    """Put what the checks of a study counted into two tables, of its splits and of its prompts.

    A check of an earlier version is run again, for what it counts. Trainings and evaluations do
    not wait for that: what passed once stays as it is.

    Args:
        plan: the study's slice, JSON file
        checks: what each check counted, JSON files
        data: folder of prepared datasets
        tokenizer: the study's, as take_tokenizer.py left it
        splits: table of splits to write, parquet
        prompts: table of prompts to write, parquet
    """
    asked = read_slice(plan, ChecksSlice)
    found = [json.loads(path.read_text(encoding="utf-8")) for path in checks]
    current = [
        check
        if check["version"] == asked["version"]
        else run_check(Path(check["plan"]), data, tokenizer)
        for check in found
    ]
    tables = audit_tables(current, asked["splits"], asked["sources"], data)
    for table, path in zip(tables, (splits, prompts), strict=True):
        write_table(table, path)


def audit_tables(
    checks: Iterable[Mapping],
    splits: Sequence[tuple[str, str]],
    sources: Mapping[str, str],
    data: Path,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put the rows of all checks together.

    Args:
        checks: of ``check_scored`` and ``check_trained``, in the order of the study.
        splits: (dataset, split) of the study, in the order of the table.
        sources: dataset -> where it is from.
        data: folder of prepared splits.

    Returns:
        The tables ``audit_splits`` and ``audit_prompts``.
    """
    rows: dict[tuple[str, str], dict] = {}
    prompts = []
    for check in checks:
        prompts += check.get("prompts", [])
        for row in check["splits"]:
            known = rows.setdefault((row["dataset"], row["split"]), row)
            # A training set that several arms take: shown for the one that takes the least.
            if row.get("cut", -1) > known.get("cut", -1):
                rows[row["dataset"], row["split"]] = row
    trained = {
        content
        for dataset, split in splits
        if split == "train"
        for content in contents(data, dataset, split)
    }
    table = []
    for dataset, split in splits:
        row = dict(rows[dataset, split])
        audit = row.pop("expression")
        warnings = row.pop("warnings")
        also = 0
        if split != "train":
            also = sum(content in trained for content in contents(data, dataset, split))
        if split == "test" and also:
            warnings = [f"{also} evaluated rows are also training rows", *warnings]
        table.append(
            {
                "also_in_shots": 0,
                **({"cut": 0, "unlearned": 0} if split == "train" else {}),
                **row,
                "source": f"{sources[dataset]}, {audit}",
                "also_in_train": also,
                "warning": "; ".join(warnings),
            }
        )
        if warnings:
            log.warning("%s (%s): %s", dataset, split, "; ".join(warnings))
    return pl.DataFrame(table, SPLIT_COLUMNS), pl.DataFrame(prompts, PROMPT_COLUMNS)
