"""The check of what models are scored on: one dataset's rows, prompts and gold answers.

An evaluation depends on the checks of its datasets. What they refuse would cost GPU hours; what
they count goes into the report's tables (``ptft.audit.tables``).
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from ptft.audit.splits import AuditError, contents, split_row
from ptft.data.jsonl import read_all
from ptft.errors import locate
from ptft.evaluation.cells import (
    CellRequest,
    Scoring,
    cell_prompts,
    cell_shots,
    cells_of_plan,
)
from ptft.models.folder import hash_files
from ptft.prompts.encoding import Prompt
from ptft.prompts.templates import completion, template_fields
from ptft.prompts.tokens import document_windows, encode, label_tokens, text_before

# Gold answers that would score less are warned of.
GOLD_SCORE = 0.95


class ScoredSlice(TypedDict):
    """All that decides the check of a dataset, apart from its prepared splits and the tokenizer."""

    __pydantic_config__ = {"extra": "forbid"}

    dataset: str
    template: str | None
    """of the examples whose lengths are counted"""
    shots_seed: int
    scoring: Scoring
    window_key: NotRequired[tuple[list[str], list[str]]]
    """family files and key that give the window of text"""


def check_scored(plan: ScoredSlice, data: Path, tokenizer, context_length: int) -> dict:
    """Examine the splits and prompts of one dataset.

    Args:
        plan: how it is scored.
        data: folder of prepared splits with an audit of their own (``ptft.data.prepare.prepare``).
        tokenizer: of the study's model.
        context_length: tokens that the model reads at most.

    Returns:
        ``splits`` and ``prompts``: rows of the report's tables; ``digests``: split -> SHA-256.

    Raises:
        AuditError: two labels begin with the same sub-token, the shots are too few, a cell's
            prompts are all the same, one does not fit the context even without shots and with its
            longest field cut, or a window of text does not.
    """
    name, scoring = plan["dataset"], plan["scoring"]
    if scoring["kind"] == "classification":
        try:
            label_tokens(tokenizer, scoring["labels"])
        except ValueError as error:
            raise AuditError(f"dataset {name}: {error}") from None
    prompts = prompt_rows(plan, data, tokenizer, context_length)
    drawn = max(scoring["shots"]) and scoring["kind"] != "harness"
    splits = ["test", *(["shots"] if drawn else [])]
    rows = {split: split_row(data, name, split, plan["template"], tokenizer) for split in splits}
    test = rows["test"]
    if "shots" in rows:
        pool = set(contents(data, name, "shots"))
        test["also_in_shots"] = sum(found in pool for found in contents(data, name, "test"))
        if test["also_in_shots"]:
            test["warnings"].append(
                f"{test['also_in_shots']} evaluated rows are also rows that shots are drawn from"
            )
    if scoring["kind"] == "generation":
        examples = read_all(data / name / "test.jsonl")
        test["gold_score"] = gold_score(tokenizer, scoring, examples)
        if test["gold_score"] < GOLD_SCORE:
            test["warnings"].append(
                f"the gold answers themselves would earn {test['gold_score']:.3f} with stop "
                f"{scoring['stop']} and max_new_tokens {scoring['max_new_tokens']}: let the "
                "dataset name others"
            )
    digests = {split: hash_files([data / name / f"{split}.jsonl"]) for split in splits}
    return {"splits": list(rows.values()), "prompts": prompts, "digests": digests}


def gold_score(tokenizer, scoring: Mapping, examples: Sequence[Mapping]) -> float:
    """Score of the gold answers themselves, as if a model had generated them word for word.

    They end where a generation does: before the first stop string, at ``max_new_tokens``.

    Args:
        scoring: of a generation dataset: ``stop`` and ``max_new_tokens``.

    Returns:
        the mean of the main metric, ROUGE-L: below 1 where answers are cut off, or hold no word.
    """
    from ptft.evaluation.metrics import example_scores

    golds = [example["gold"] for example in examples]
    encoded = tokenizer([completion(gold) for gold in golds], add_special_tokens=False)["input_ids"]
    kept = [ids[: scoring["max_new_tokens"]] for ids in encoded]
    said = [text_before(tokenizer, scoring["stop"], ids) for ids in kept]
    return statistics.mean(example_scores("generation", said, golds)["score"])


def scored_cells(plan: ScoredSlice) -> list[CellRequest]:
    """The cells of one model on the dataset, as an evaluation is asked for them."""
    return cells_of_plan(
        {
            "scoring_version": 0,
            "shots_seed": plan["shots_seed"],
            "datasets": {plan["dataset"]: plan["scoring"]},
        }
    )


def prompt_rows(plan: ScoredSlice, data: Path, tokenizer, context_length: int) -> list[dict]:
    """A row per format and number of shots, by ``ptft.audit.tables.PROMPT_COLUMNS``."""
    name, scoring = plan["dataset"], plan["scoring"]
    examples = read_all(data / name / "test.jsonl")
    if scoring["kind"] == "text":
        return [
            _text_row(cell, examples, plan, tokenizer, context_length)
            for cell in scored_cells(plan)
        ]
    if scoring["kind"] == "harness":
        return [_task_row(cell, examples, tokenizer, context_length) for cell in scored_cells(plan)]
    pool = read_all(data / name / "shots.jsonl") if max(scoring["shots"]) else []
    return [
        _prompt_row(cell, examples, pool, tokenizer, context_length) for cell in scored_cells(plan)
    ]


def _text_row(
    cell: CellRequest,
    examples: Sequence[Mapping],
    plan: ScoredSlice,
    tokenizer,
    context_length: int,
) -> dict:
    """The windows of a text."""
    if cell.window > context_length:
        files, key = plan["window_key"]
        raise AuditError(
            f"{locate(tuple(key), [*map(Path, files)])}: {'.'.join(key)}: found a window of "
            f"{cell.window} tokens for dataset {cell.dataset!r}, expected at most the "
            f"{context_length} of the model's context; lower it"
        )
    documents = document_windows(
        tokenizer, [row["text"] for row in examples], cell.window, cell.stride, context_length
    )
    lengths = [len(window.read) for document in documents for window in document]
    return _length_row(cell, lengths, context_length, 0)


def _task_row(
    cell: CellRequest, examples: Sequence[Mapping], tokenizer, context_length: int
) -> dict:
    """The prompts of a harness task, without turns of a chat; of long ones the end is read."""
    texts = [row["fields"]["prompt"] for row in examples]
    lengths = [len(ids) for ids in encode(tokenizer, texts)]
    room = context_length - (cell.max_new_tokens or 0)
    return _length_row(cell, lengths, context_length, sum(length > room for length in lengths))


def _prompt_row(
    cell: CellRequest,
    examples: Sequence[Mapping],
    pool: Sequence[Mapping],
    tokenizer,
    context_length: int,
) -> dict:
    where = f"dataset {cell.dataset}, format {cell.format}"
    try:
        shots = cell_shots(cell, pool)
        prompts = cell_prompts(tokenizer, cell, shots, examples, context_length)
    except ValueError as error:
        raise AuditError(f"{where}: {error}") from None
    _refuse_sameness(prompts, where, cell.template)
    lengths = [prompt.tokens for prompt in prompts]
    return _length_row(cell, lengths, context_length, sum(prompt.truncated for prompt in prompts))


def _length_row(
    cell: CellRequest, lengths: Sequence[int], context_length: int, truncated: int
) -> dict:
    return {
        "dataset": cell.dataset,
        "format": cell.format,
        "shots": cell.shots,
        "prompts": len(lengths),
        "tokens_median": statistics.median(lengths),
        "tokens_max": max(lengths),
        "context_length": context_length,
        "truncated": truncated,
    }


def _refuse_sameness(prompts: Sequence[Prompt], cell: str, template: str) -> None:
    """A cell whose prompts are all the same measures nothing."""
    first = prompts[0]
    if len(prompts) > 1 and all(
        (prompt.context, prompt.continuations) == (first.context, first.continuations)
        for prompt in prompts
    ):
        fields = ", ".join(template_fields(template)) or "none"
        raise AuditError(
            f"{cell}: all {len(prompts)} prompts are the same; check the template {template!r} and "
            f"the columns that fill its fields ({fields})"
        )
