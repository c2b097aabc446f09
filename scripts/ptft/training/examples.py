"""Training examples as tokens, with a mark on those to be learned.

An example is truncated at its end, as the paper's release does; one that keeps no token to learn
is dropped, and a set that loses more than 1 % that way is refused.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ptft.prompts import completion, gold_text, render
from ptft.tokens import encode_pairs

log = logging.getLogger(__name__)

MAX_DROPPED = 0.01


@dataclass(frozen=True)
class Example:
    """One training example.

    ids: (n,) int64 token ids. learned: (n,) bool, True where the token is a target, i.e. is
    predicted from those before it; never True at 0, which has nothing before it.
    """

    example_id: str
    ids: np.ndarray
    learned: np.ndarray

    @property
    def targets(self) -> int:
        """Number of tokens to learn."""
        return int(self.learned.sum())


def completion_examples(tokenizer, rows: Sequence[Mapping], template: str) -> list[Example]:
    """Contexts that are given and completions, closed by EOS, that are learned.

    Args:
        tokenizer: of the checkpoint.
        rows: prepared examples: ``example_id``, ``fields``, ``gold``.
        template: fills into the context (``ptft.prompts.render``).

    Raises:
        ValueError: the tokenizer has no EOS, or a row lacks a field of the template.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no EOS token, so a completion could never end")
    try:
        contexts = [render(template, row["fields"]) for row in rows]
    except KeyError as missing:
        raise ValueError(
            f"the template names the field {missing}, which the training rows do not have: "
            f"they have {sorted(rows[0]['fields'])}"
        ) from None
    golds = [completion(gold_text(row)) for row in rows]
    examples = []
    pairs = encode_pairs(tokenizer, contexts, golds)
    for row, (context, gold) in zip(rows, pairs, strict=True):
        ids = np.array([*context, *gold, tokenizer.eos_token_id], dtype=np.int64)
        learned = np.arange(len(ids)) >= len(context)
        examples.append(Example(row["example_id"], ids, learned))
    return examples


def truncate(examples: Sequence[Example], max_length: int) -> tuple[list[Example], list[str]]:
    """Cut examples to ``max_length`` tokens; returns those left and the ids of the dropped.

    Raises:
        ValueError: more than 1 % of the examples keep no token to learn.
    """
    cut = [
        Example(item.example_id, item.ids[:max_length], item.learned[:max_length])
        if len(item.ids) > max_length
        else item
        for item in examples
    ]
    kept = [item for item in cut if item.learned.any()]
    dropped = [item.example_id for item in cut if not item.learned.any()]
    if len(dropped) > MAX_DROPPED * len(examples):
        raise ValueError(
            f"{len(dropped)} of {len(examples)} training examples keep no completion token within "
            f"max_length={max_length} (first: {dropped[0]}), more than {MAX_DROPPED:.0%}: "
            "raise max_length or shorten the prompts"
        )
    if dropped:
        log.warning("dropped %d examples without a completion token: %s", len(dropped), dropped)
    return kept, dropped


def check_examples(examples: Sequence[Example], batch_size: int, context: int | None) -> None:
    """Refuse a set that cannot be trained on.

    Args:
        examples: after truncation.
        batch_size: examples an update.
        context: positions that the checkpoint knows; None where it names none.

    Raises:
        ValueError: fewer examples than a batch, or one longer than the checkpoint's context.
    """
    if len(examples) < batch_size:
        raise ValueError(
            f"{len(examples)} training examples are fewer than batch_size={batch_size}: "
            "give more examples or a smaller batch"
        )
    longest = max(examples, key=lambda item: len(item.ids))
    if context is not None and len(longest.ids) > context:
        raise ValueError(
            f"example {longest.example_id} has {len(longest.ids)} tokens, but the checkpoint's "
            f"context is {context}: set max_length to {context} or less"
        )
