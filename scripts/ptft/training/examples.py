"""Training examples as tokens, their order, and how an update's batch is cut into micro-batches.

A prompt that is too long is shortened as it is in evaluation, so that its answer stays. What does
not fit even so (a long answer, a conversation) is cut at its end, as the paper's release does; an
example that keeps no token to learn is dropped, and a set that loses more than 1 % that way is
refused.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptft.prompts.templates import readable, shorten, solved
from ptft.prompts.tokens import encode, encode_pairs

log = logging.getLogger(__name__)

MAX_DROPPED = 0.01
PIECE = 200
"""Rows encoded at a time: Python's lists of tokens take 165 bytes a token, arrays 9."""


@dataclass(frozen=True)
class Example:
    """One training example.

    ids: (n,) int64 token ids. loss_mask: (n,) bool, True where the token is a target, i.e. is
    predicted from those before it; never True at 0, which has nothing before it. cut: something
    was left out to fit ``max_length``. imitated: the checkpoint's predictions are learned at its
    targets, not these.
    """

    example_id: str
    ids: np.ndarray
    loss_mask: np.ndarray
    cut: bool = False
    imitated: bool = False

    @property
    def targets(self) -> int:
        """Number of tokens to learn."""
        return int(self.loss_mask.sum())


def completion_examples(
    tokenizer, rows: Sequence[Mapping], template: str, max_length: int | None = None
) -> list[Example]:
    """Contexts that are given and completions, closed by EOS, that are learned.

    Args:
        tokenizer: of the checkpoint.
        rows: prepared examples: ``example_id``, ``fields``, ``gold``.
        template: fills into the context (``ptft.prompts.templates.render``).
        max_length: tokens that an example may have; the context of a longer one is shortened
            (``ptft.prompts.templates.shorten``) where that is enough.

    Raises:
        ValueError: the tokenizer has no EOS, or a row lacks a field of the template.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no EOS token, so a completion could never end")

    def encoded_pairs(batch: Sequence[Mapping]) -> list[tuple[list[int], list[int]]]:
        try:
            pairs = [solved(template, row) for row in batch]
        except KeyError as missing:
            raise ValueError(
                f"the template names the field {missing}, which the training rows do not have: "
                f"they have {sorted(batch[0]['fields'])}"
            ) from None
        return encode_pairs(tokenizer, *map(list, zip(*pairs, strict=True)))

    def fits(row: Mapping) -> bool:
        return _with_eos(*encoded_pairs([row])[0]) <= max_length

    examples = []
    for row, (context, gold) in zip(rows, _in_pieces(encoded_pairs, rows), strict=True):
        cut = max_length is not None and _with_eos(context, gold) > max_length
        short = shorten(template, readable(row, max_length, fits), fits) if cut else None
        if short is not None:
            [(context, gold)] = encoded_pairs([short])
        ids = np.array([*context, *gold, tokenizer.eos_token_id], dtype=np.int64)
        loss_mask = np.arange(len(ids)) >= len(context)
        examples.append(Example(row["example_id"], ids, loss_mask, cut))
    return examples


def text_examples(tokenizer, rows: Sequence[Mapping], max_length: int) -> list[Example]:
    """Documents, ended by EOS; every token but the first is learned.

    A document longer than ``max_length`` tokens is cut into windows of that length; a rest of one
    token, which nothing predicts, is left out.

    Args:
        rows: prepared examples: ``example_id``, ``text``.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    encoded = _in_pieces(lambda piece: encode(tokenizer, [row["text"] for row in piece]), rows)
    examples = []
    for row, ids in zip(rows, encoded, strict=True):
        whole = np.array([*ids, *end], dtype=np.int64)
        for first in range(0, len(whole) - 1, max_length):
            window = whole[first : first + max_length]
            name = f"{row['example_id']}:{first}" if first else row["example_id"]
            examples.append(Example(name, window, np.arange(len(window)) > 0))
    return examples


def written_examples(rows: Sequence[Mapping]) -> list[Example]:
    """Texts that a checkpoint wrote; the tokens that it was given are not learned.

    Args:
        rows: ``example_id``, ``ids``, ``given`` (``ptft.training.self_text``).
    """
    return [
        Example(row["example_id"], ids, np.arange(len(ids)) >= row["given"])
        for row in rows
        for ids in [np.array(row["ids"], dtype=np.int64)]
    ]


def _in_pieces(
    encode_rows: Callable[[Sequence[Mapping]], list[Any]], rows: Sequence[Mapping]
) -> Iterator[Any]:
    """Encoded rows, with little of them in memory as lists at a time."""
    for start in range(0, len(rows), PIECE):
        yield from encode_rows(rows[start : start + PIECE])


def _with_eos(context: Sequence[int], gold: Sequence[int]) -> int:
    return len(context) + len(gold) + 1


def truncate(examples: Sequence[Example], max_length: int) -> tuple[list[Example], list[str]]:
    """Cut examples to ``max_length`` tokens; returns those left and the ids of the dropped.

    Raises:
        ValueError: more than 1 % of the examples keep no token to learn.
    """
    kept, dropped = [], []
    for item in examples:
        if len(item.ids) > max_length:
            item = Example(
                item.example_id, item.ids[:max_length], item.loss_mask[:max_length], True
            )
        if item.loss_mask.any():
            kept.append(item)
        else:
            dropped.append(item.example_id)
    if len(dropped) > MAX_DROPPED * len(examples):
        raise ValueError(
            f"{len(dropped)} of {len(examples)} training examples keep no completion token within "
            f"max_length={max_length} (first: {dropped[0]}), more than {MAX_DROPPED:.0%}: "
            "raise max_length or shorten the prompts"
        )
    if dropped:
        log.warning("dropped %d examples without a completion token: %s", len(dropped), dropped)
    return kept, dropped


def check_examples(examples: Sequence[Example], batch_size: int) -> None:
    """Refuse a set that cannot be trained on.

    Args:
        examples: after truncation.
        batch_size: examples per update.

    Raises:
        ValueError: fewer examples than a batch.
    """
    if len(examples) < batch_size:
        raise ValueError(
            f"{len(examples)} training examples are fewer than batch_size={batch_size}: "
            "give more examples or a smaller batch"
        )


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Permutation of range(count) for one epoch: of seed and epoch alone, so that a resumed run
    needs no state for it."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def examples_before(count: int, batch_size: int, step: int) -> int:
    """Examples of the updates before ``step`` (from 0), by :func:`batch_indices`."""
    epoch, within = divmod(step, updates_per_epoch(count, batch_size))
    return epoch * count + within * batch_size


def batch_indices(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Indices of the examples of update ``step`` (from 0); an epoch's last batch may be smaller."""
    epoch, within = divmod(step, updates_per_epoch(count, batch_size))
    return epoch_order(count, seed, epoch)[within * batch_size : (within + 1) * batch_size]


def updates_per_epoch(count: int, batch_size: int) -> int:
    """Updates an epoch takes, the smaller last batch included."""
    return -(-count // batch_size)


def split_off(count: int, held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and indices held out for validation, each in rising order.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if held_out >= count:
        raise ValueError(f"validation_examples={held_out} leaves none of {count} to train on")
    # A stream of its own (the -1 of epochs), so that the cut does not depend on the epochs' order.
    order = np.random.default_rng([seed, 2**32 - 1]).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def micro_batches(batch: Sequence[Example], token_budget: int) -> list[list[Example]]:
    """Cut a batch into micro-batches of at most ``token_budget`` tokens, longest examples first.

    Neighbours in length share a micro-batch, which keeps its attention rectangular. An example
    longer than the budget is alone.
    """
    parts: list[list[Example]] = []
    used = 0
    for item in sorted(batch, key=lambda item: len(item.ids), reverse=True):
        if not parts or used + len(item.ids) > token_budget:
            parts.append([])
            used = 0
        parts[-1].append(item)
        used += len(item.ids)
    return parts


def device_micro_batches(
    batch: Sequence[Example], token_budget: int, rank: int, world: int
) -> list[tuple[list[Example], bool]]:
    """The micro-batches of a batch that one of ``world`` devices works on.

    Examples go, longest first, to the device with the fewest tokens so far (ties: lower rank).
    Every device gets the same number of micro-batches, because sharded models exchange weights in
    each; a device that has fewer repeats one, marked False: not to be counted.
    """
    shares: list[list[Example]] = [[] for _ in range(world)]
    load = [0] * world
    for item in sorted(batch, key=lambda item: len(item.ids), reverse=True):
        owner = load.index(min(load))
        load[owner] += len(item.ids)
        shares[owner].append(item)
    parts = [micro_batches(share, token_budget) for share in shares]
    mine = [(part, True) for part in parts[rank]]
    fillers = max(len(each) for each in parts) - len(mine)
    return mine + [([min(batch, key=lambda item: len(item.ids))], False)] * fillers
