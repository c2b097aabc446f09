"""The audit of training sets: can every arm be fine-tuned on its rows, as its settings say?

What the fine-tuning job would refuse is refused here, before any GPU hour.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptft.data.jsonl import read_all
from ptft.training.examples import check_examples, split_off, truncate
from ptft.training.methods import get_method
from ptft.training.remedies import Replayed, replay_examples


class AuditError(ValueError):
    """The study can't be run as described; the message says why and what to do."""


@dataclass(frozen=True)
class Cuts:
    """What training cuts of a dataset: in the arm that takes the shortest examples.

    cut: examples whose prompt is shortened or whose end is cut off. unlearned: those of them that
    keep no answer, and are left out.
    """

    cut: int = 0
    unlearned: int = 0


def check_training(plan: Mapping, data: Path, tokenizer, context_length: int) -> dict[str, Cuts]:
    """Refuse training sets that are too small, too long, or hold fewer rows than asked for.

    Args:
        plan: a slice of the study (``Grid.audit_slice``).
        data: folder of prepared splits with an audit of their own (``ptft.data.prepare.prepare``).
        tokenizer: of the study's model.
        context_length: tokens that the model reads at most.

    Returns:
        of each training set, what has to be cut.

    Raises:
        AuditError: naming the study's key.
    """
    _check_counts(plan["train_rows"], data)
    cuts: dict[str, Cuts] = {}
    for spec in plan["tuning"].values():
        method = get_method(spec["method"])
        settings = method.Settings(**spec["settings"])
        rows = read_all(data / spec["dataset"] / "train.jsonl")
        longest = min(settings.max_length, context_length)
        try:
            examples = method.examples(tokenizer, rows, spec["template"], longest)
            kept, dropped = truncate(examples, longest)
            trained, _ = split_off(len(kept), settings.validation_examples, seed=0)
            check_examples([kept[i] for i in trained], settings.batch_size)
        except ValueError as error:
            key = f"finetune.{spec['method']}.tasks.{spec['task']}"
            raise AuditError(f"{key} (dataset {spec['dataset']}): {error}") from None
        found = Cuts(sum(item.cut for item in examples), len(dropped))
        before = cuts.get(spec["dataset"], Cuts())
        cuts[spec["dataset"]] = max(before, found, key=lambda some: some.cut)
        if replay := spec.get("replay"):
            _check_replay(spec, replay, data, tokenizer, longest)
    return cuts


def _check_replay(spec: Mapping, replay: Mapping, data: Path, tokenizer, longest: int) -> None:
    """Refuse to replay what leaves no example."""
    rows = read_all(data / replay["dataset"] / "train.jsonl")
    try:
        kept = replay_examples(tokenizer, rows, replay["template"], longest)
        Replayed(kept, share=0.5, seed=0)
    except ValueError as error:
        key = f"finetune.{spec['method']}.tasks.{spec['task']}"
        message = f"{key} (replay of {replay['dataset']}): {error}"
        raise AuditError(message) from None


def _check_counts(asked: Mapping[str, int], data: Path) -> None:
    """Refuse to draw more rows than a training split has."""
    short = {}
    for dataset, count in asked.items():
        found = json.loads((data / dataset / "train.audit.json").read_text())
        if count > found["rows"]:
            short[dataset] = found["rows"]
    if short:
        places = ", ".join(f"{name} has {rows}, not {asked[name]}" for name, rows in short.items())
        listed = ", ".join(f"{name}: {rows}" for name, rows in short.items())
        raise AuditError(
            f"data.train: more training rows asked for than there are: {places}; ask for fewer, "
            f"as in data.train_of: {{{listed}}}"
        )
