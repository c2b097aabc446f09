"""What a fine-tuning learns from: its files as examples, cut, split and checked."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import transformers

from ptft.data.jsonl import read_all
from ptft.models.loading import context_length, load_tokenizer
from ptft.training.batches import split_off
from ptft.training.examples import Example, check_examples, truncate
from ptft.training.methods.base import Method
from ptft.training.replay import Replayed, replay_examples
from ptft.training.request import Request


@dataclass(frozen=True)
class Data:
    """Examples to train on, held out for validation and replayed; what was cut or left out."""

    train: list[Example]
    validation: list[Example]
    replayed: Replayed | None
    dropped: list[str]
    cut: int

    def counts(self) -> Mapping[str, Any]:
        """Numbers of examples, for the model's summary."""
        return {
            "train_examples": len(self.train),
            "validation_examples": len(self.validation),
            "dropped_examples": self.dropped,
            "cut_examples": self.cut,
            **({"replay_set": len(self.replayed.examples)} if self.replayed else {}),
        }


def read_data(request: Request, method: Method) -> Data:
    """The examples of a request.

    Raises:
        ValueError: they cannot be trained on.
    """
    settings, seed = request.settings, request.seed
    config = transformers.AutoConfig.from_pretrained(request.checkpoint, local_files_only=True)
    longest = min(settings.max_length, context_length(config) or sys.maxsize)
    tokenizer = load_tokenizer(request.checkpoint)
    rows = read_all(request.train)
    kept, dropped = truncate(method.examples(tokenizer, rows, request.template, longest), longest)
    train, validation = kept, []
    if settings.validation_examples:
        cut = split_off(len(kept), settings.validation_examples, seed)
        train, validation = ([kept[i] for i in part] for part in cut)
    check_examples([*train, *validation], settings.batch_size)
    replayed = None
    if settings.replay and request.replay:
        others = read_all(request.replay)
        made = replay_examples(tokenizer, others, request.replay_template, longest)
        replayed = Replayed(made, settings.replay.share, seed)
    return Data(train, validation, replayed, dropped, sum(item.cut for item in kept))
