"""The audit: what is in the data of a study and in its prompts, before anything is trained.

Two tables. ``audit_splits`` has a row per dataset and split: rows, dropped rows, balance,
duplicates, overlap with training rows and shots, lengths. ``audit_prompts`` has a row per
dataset, format and number of shots: how long the prompts are and how many do not fit.
"""

import hashlib
import json
import logging
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NotRequired

import polars as pl
from typing_extensions import TypedDict

from ptft.audit.limits import gold_score
from ptft.audit.prompts import PROMPT_COLUMNS, check_labels, prompt_rows
from ptft.audit.training import Cuts, check_training
from ptft.data.jsonl import read_all, read_examples
from ptft.data.prepare import content_key
from ptft.evaluation.cells import Scoring
from ptft.prompts.templates import render_shot
from ptft.prompts.tokens import encode, encode_chats, encode_text

log = logging.getLogger(__name__)

# Gold answers that would score less are warned of.
GOLD_SCORE = 0.95


class AuditSlice(TypedDict):
    """What decides the audit, apart from the prepared splits (``Grid.audit_slice``)."""

    __pydantic_config__ = {"extra": "forbid"}

    splits: list[tuple[str, str]]
    sources: dict[str, str]
    templates: dict[str, str | None]
    shots_seed: int
    same_weights: NotRequired[list[str]]
    scores: dict[str, Scoring]
    windows: NotRequired[dict[str, str]]
    tuning: dict[str, dict[str, Any]]
    train_rows: dict[str, int]


def audit_study(
    plan: AuditSlice, data: Path, tokenizer, context_length: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Examine every split and every prompt of a study.

    Args:
        plan: what the study scores and trains on.
        data: folder of prepared splits with an audit of their own (``ptft.data.prepare.prepare``).
        tokenizer: of the study's model.
        context_length: tokens that the model reads at most.

    Returns:
        The tables ``audit_splits`` and ``audit_prompts``.

    Raises:
        AuditError: an arm can't be trained on its rows, two labels begin with the same
            sub-token, the shots are too few, a cell's prompts are all the same, one does not
            fit the context even without shots and with its longest field cut, or a window of text
            does not.
    """
    cuts = check_training(plan, data, tokenizer, context_length)
    check_labels(plan, tokenizer)
    prompts = pl.DataFrame(prompt_rows(plan, data, tokenizer, context_length), PROMPT_COLUMNS)
    trained = _contents(data, [name for name, split in plan["splits"] if split == "train"], "train")
    rows = [_split_row(plan, data, *split, tokenizer, trained, cuts) for split in plan["splits"]]
    splits = pl.DataFrame(rows, SPLIT_COLUMNS)
    for row in splits.filter(pl.col("warning") != "").iter_rows(named=True):
        log.warning("%s (%s): %s", row["dataset"], row["split"], row["warning"])
    return splits, prompts


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
}


def _split_row(
    plan: Mapping,
    data: Path,
    dataset: str,
    split: str,
    tokenizer,
    trained: Mapping[str, set],
    cuts: Mapping[str, Cuts],
) -> dict:
    """What is in one split.

    Args:
        trained: contents of every training split.
        cuts: what is cut of the training splits.
    """
    found = json.loads((data / dataset / f"{split}.audit.json").read_text())
    examples = read_all(data / dataset / f"{split}.jsonl")
    contents = [_digest(example) for example in examples]
    others = set().union(*trained.values()) if split != "train" else set()
    pool: set[bytes] = set()
    if split == "test" and [dataset, "shots"] in [list(pair) for pair in plan["splits"]]:
        pool = _contents(data, [dataset], "shots")[dataset]
    gold = found["gold"]
    row = {
        "dataset": dataset,
        "split": split,
        "source": plan["sources"][dataset] + ", " + found["split"],
        "rows": found["rows"],
        "kept": found["kept"],
        "used": found["drawn"],
        "dropped": _listed(found["dropped"]),
        "gold": _listed(gold),
        "largest_share": max(gold.values()) / sum(gold.values()) if gold else None,
        "duplicates": found["duplicates"],
        "empty_fields": found["empty_fields"],
        "also_in_train": sum(content in others for content in contents),
        "also_in_shots": sum(content in pool for content in contents),
        **_length_columns(plan, dataset, split, examples, tokenizer),
    }
    if split == "train":
        row |= asdict(cuts.get(dataset, Cuts()))
    return {**row, "warning": "; ".join(_warnings(row, plan["scores"].get(dataset)))}


def _length_columns(
    plan: Mapping, dataset: str, split: str, examples: list[dict], tokenizer
) -> dict:
    """How long the examples are, and what the gold answers earn under a generation's limits."""
    lengths, scoring = _example_lengths(plan, dataset, examples, tokenizer), plan["scores"]
    columns = {
        "tokens_mean": statistics.mean(lengths),
        "tokens_median": statistics.median(lengths),
        "tokens_max": max(lengths),
    }
    if split == "test" and scoring[dataset]["kind"] == "generation":
        columns["gold_score"] = gold_score(tokenizer, scoring[dataset], examples)
    return columns


def _warnings(row: Mapping, scoring: Mapping | None) -> Iterator[str]:
    """What a reader has to know: rows that were seen otherwise, answers that are cut off."""
    if row["split"] == "test" and row["also_in_train"]:
        yield f"{row['also_in_train']} evaluated rows are also training rows"
    if row["also_in_shots"]:
        yield f"{row['also_in_shots']} evaluated rows are also rows that shots are drawn from"
    if row.get("unlearned"):
        yield f"{row['unlearned']} training examples keep nothing to learn and are left out"
    if row.get("gold_score", 1) < GOLD_SCORE:
        yield (
            f"the gold answers themselves would earn {row['gold_score']:.3f} with stop "
            f"{scoring['stop']} and max_new_tokens {scoring['max_new_tokens']}: let the dataset "
            "name others"
        )


def _example_lengths(
    plan: Mapping, dataset: str, examples: Sequence[Mapping], tokenizer
) -> list[int]:
    """Tokens of each example, answer included, in the format that is trained in; of text, all."""
    if "text" in examples[0]:
        return [len(ids) for ids in encode_text(tokenizer, [row["text"] for row in examples])]
    template = plan["templates"][dataset]
    if template is None:
        return [len(chat.ids) for chat in encode_chats(tokenizer, examples, None, sys.maxsize)]
    texts = [render_shot(template, example) for example in examples]
    return [len(ids) for ids in encode(tokenizer, texts)]


def _contents(data: Path, datasets: Sequence[str], split: str) -> dict[str, set[bytes]]:
    return {
        dataset: {_digest(example) for example in read_examples(data / dataset / f"{split}.jsonl")}
        for dataset in datasets
    }


def _digest(example: Mapping) -> bytes:
    return hashlib.sha256(content_key(example).encode()).digest()


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
