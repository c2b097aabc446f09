"""The check of what a model is fine-tuned on: can an arm be trained on its rows, as it is set?

A fine-tuning depends on the check of its method, task and settings, which all seeds share. What
the job itself would refuse is refused here, before any GPU hour.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from ptft.audit.splits import AuditError, split_row
from ptft.data.jsonl import read_all
from ptft.prompts.tokens import start_token
from ptft.training.examples import check_examples, split_off, truncate
from ptft.training.methods import get_method


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
