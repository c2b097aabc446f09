"""Checks of what models are scored on and of what they are fine-tuned on, before any GPU hour.

An evaluation depends on the checks of its datasets: rows, prompts and gold answers. A fine-tuning
depends on the check of its method, task and settings, which all seeds share. What a job itself
would refuse is refused here; what they count goes into the report's tables (``ptft.audit.tables``).
"""

import hashlib
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from ptft.data.prepare import content_key
from ptft.errors import locate
from ptft.evaluation.cells import CellRequest, Scoring, cell_prompts, cell_shots, cells_of_plan
from ptft.files import read_all
from ptft.models.folder import hash_files
from ptft.prompts.encoding import Prompt
from ptft.prompts.templates import completion, render_shot, template_fields
from ptft.prompts.tokens import (
    document_windows,
    encode,
    encode_chats,
    encode_text,
    label_tokens,
    start_token,
    text_before,
)
from ptft.training.examples import check_examples, split_off, truncate
from ptft.training.methods import get_method


class AuditError(ValueError):
    """The study can't be run as described; the message says why and what to do."""


def split_row(data: Path, dataset: str, split: str, template: str | None, tokenizer) -> dict:
    """Rows, dropped rows, balance and lengths of a split.

    Args:
        data: folder of prepared splits with an audit of their own (``ptft.data.prepare.prepare``).
        template: of the examples whose lengths are counted; None for conversations and text.
    """
    found = json.loads((data / dataset / f"{split}.audit.json").read_text())
    lengths = _lengths(read_all(data / dataset / f"{split}.jsonl"), template, tokenizer)
    gold = found["gold"]
    return {
        "dataset": dataset,
        "split": split,
        "expression": found["split"],
        "rows": found["rows"],
        "kept": found["kept"],
        "used": found["drawn"],
        "dropped": _listed(found["dropped"]),
        "gold": _listed(gold),
        "largest_share": max(gold.values()) / sum(gold.values()) if gold else None,
        "duplicates": found["duplicates"],
        "empty_fields": found["empty_fields"],
        "tokens_mean": statistics.mean(lengths),
        "tokens_median": statistics.median(lengths),
        "tokens_max": max(lengths),
        "warnings": list(found["warnings"]),
    }


def _lengths(examples: Sequence[Mapping], template: str | None, tokenizer) -> list[int]:
    """Tokens of each example, answer included, in the format that is trained in; of text, all."""
    if "text" in examples[0]:
        return [len(ids) for ids in encode_text(tokenizer, [row["text"] for row in examples])]
    if template is None:
        return [len(chat.ids) for chat in encode_chats(tokenizer, examples, None, sys.maxsize)]
    return [len(ids) for ids in encode(tokenizer, [render_shot(template, row) for row in examples])]


def contents(data: Path, dataset: str, split: str) -> list[bytes]:
    """A digest of each example's content; equal for equal rows of whatever dataset."""
    return [
        hashlib.sha256(content_key(example).encode()).digest()
        for example in read_all(data / dataset / f"{split}.jsonl")
    ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


# Gold answers that would score less are warned of.
GOLD_SCORE = 0.95


# What is scored -----------------------------------------------------------------------------------


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


# What is trained on -------------------------------------------------------------------------------


class ReplaySlice(TypedDict):
    """Dataset that is replayed beside a task."""

    __pydantic_config__ = {"extra": "forbid"}

    dataset: str
    template: str | None


class TrainedSlice(TypedDict):
    """All that decides the check of a training, apart from its prepared rows and the tokenizer."""

    __pydantic_config__ = {"extra": "forbid"}

    method: str
    task: str
    dataset: str
    template: str | None
    settings: dict[str, Any]
    """batch_size, max_length, validation_examples"""
    replay: NotRequired[ReplaySlice]
    self_text: NotRequired[str | None]
    """where the checkpoint writes what is replayed: dataset that it begins with; None for BOS"""
    limits: dict[str, int]
    """dataset -> training rows that the study asks for"""


def check_trained(plan: TrainedSlice, data: Path, tokenizer, context_length: int) -> dict:
    """Refuse training sets that are too small, too long, or hold fewer rows than asked for.

    Args:
        plan: how the arms are trained.
        data: folder of prepared splits with an audit of their own (``ptft.data.prepare.prepare``).
        tokenizer: of the study's model.
        context_length: tokens that the model reads at most.

    Returns:
        ``splits``: rows of the report's table. Of the task's own set with what training cuts.
        cut: examples whose prompt is shortened or whose end is cut off; unlearned: those of them
        that keep no answer, and are left out.

    Raises:
        AuditError: naming the study's key.
    """
    key, name = f"finetune.{plan['method']}.tasks.{plan['task']}", plan["dataset"]
    method = get_method(plan["method"])
    settings = method.Settings(**plan["settings"])
    replay = plan.get("replay")
    rows = {name: split_row(data, name, "train", plan["template"], tokenizer)}
    longest = min(settings.max_length, context_length)
    if replay:
        _check_replay(key, replay, data, tokenizer, longest)
        if (other := replay["dataset"]) != name:
            rows[other] = split_row(data, other, "train", replay["template"], tokenizer)
    if "self_text" in plan:
        begin = plan["self_text"]
        if begin is None:
            _check_start(key, tokenizer)
        else:
            rows[begin] = split_row(data, begin, "train", None, tokenizer)
    _check_counts(plan["limits"], rows)
    examples = read_all(data / name / "train.jsonl")
    try:
        found = method.examples(tokenizer, examples, plan["template"], longest)
        kept, dropped = truncate(found, longest)
        trained, _ = split_off(len(kept), settings.validation_examples, seed=0)
        check_examples([kept[i] for i in trained], settings.batch_size)
    except ValueError as error:
        raise AuditError(f"{key} (dataset {name}): {error}") from None
    rows[name] |= {"cut": sum(item.cut for item in found), "unlearned": len(dropped)}
    if dropped:
        rows[name]["warnings"].append(
            f"{len(dropped)} training examples keep nothing to learn and are left out"
        )
    return {"splits": list(rows.values())}


def _check_replay(key: str, replay: ReplaySlice, data: Path, tokenizer, longest: int) -> None:
    """Refuse to replay what leaves no example."""
    from ptft.training.remedies import Replayed, replay_examples  # imports torch

    rows = read_all(data / replay["dataset"] / "train.jsonl")
    try:
        kept = replay_examples(tokenizer, rows, replay["template"], longest)
        Replayed(kept, share=0.5, seed=0)
    except ValueError as error:
        raise AuditError(f"{key} (replay of {replay['dataset']}): {error}") from None


def _check_start(key: str, tokenizer) -> None:
    """Refuse to let a checkpoint write from nothing."""
    try:
        start_token(tokenizer)
    except ValueError as error:
        message = f"{key} (replay of self): {error}; name texts to begin with in replay.prompts"
        raise AuditError(message) from None


def _check_counts(asked: Mapping[str, int], rows: Mapping[str, Mapping]) -> None:
    """Refuse to draw more rows than a training split has."""
    short = {name: rows[name]["rows"] for name in asked if asked[name] > rows[name]["rows"]}
    if short:
        places = ", ".join(f"{name} has {rows}, not {asked[name]}" for name, rows in short.items())
        listed = ", ".join(f"{name}: {rows}" for name, rows in short.items())
        raise AuditError(
            f"data.train: more training rows asked for than there are: {places}; ask for fewer, "
            f"as in data.train_of: {{{listed}}}"
        )
