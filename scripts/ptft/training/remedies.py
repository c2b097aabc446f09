"""Remedies against forgetting: each is a setting of every method, and a part of this module.

A new remedy is a key of ``settings.py`` and code here. The loop asks for what is frozen, what is
replayed, what is added to the loss of a token (``Objective``) or of the weights (``penalties``),
and when to stop; it does not know which remedies there are.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ptft.training.devices import Devices, block_of, local
from ptft.training.examples import (
    Example,
    completion_examples,
    examples_before,
    text_examples,
    truncate,
    written_examples,
)
from ptft.training.losses import cross_entropy, divergence, token_logits
from ptft.training.methods import get_method
from ptft.training.packing import PackedBatch
from ptft.training.settings import TrainingSettings, replayed_count

REPLAYED = 1
"""Marks the random stream of the replayed examples; that of the task has no mark."""


# Replay: examples of another dataset, learned beside those of the task, which stay as they are
# without replay: as many in each update, in their order.


@dataclass(frozen=True)
class Replayed:
    """The replayed dataset, and how much of it.

    With a share r, n examples of the task come with n r / (1 - r) others, so that r of all
    examples are replayed. Rounding is of the sum since the first update, so the share of a whole
    run is off by less than one example. Each pass over the replayed set is in an order of its own.

    Raises:
        ValueError: there is nothing to replay.
    """

    examples: Sequence[Example]
    share: float
    seed: int

    def __post_init__(self) -> None:
        if not self.examples:
            raise ValueError("replay: the dataset has no examples")

    def batch(self, step: int, count: int, batch_size: int) -> list[Example]:
        """Examples to add to update ``step`` (from 0) of a task of ``count`` examples."""
        first, end = (
            replayed_count(examples_before(count, batch_size, each), self.share)
            for each in (step, step + 1)
        )
        return [self._drawn(place) for place in range(first, end)]

    def _drawn(self, place: int) -> Example:
        epoch, within = divmod(place, len(self.examples))
        return self.examples[_replay_order(len(self.examples), self.seed, epoch)[within]]


@functools.lru_cache(maxsize=2)
def _replay_order(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, REPLAYED]).permutation(count)


def replay_examples(
    tokenizer,
    rows: Sequence[Mapping],
    template: str | None,
    max_length: int,
    imitated: bool = False,
) -> list[Example]:
    """Prepared rows of any kind as examples: text as text, chats as chats, others as completions.

    Args:
        template: of completions; of conversations TULU's where there is none.
        max_length: tokens of an example at most.
        imitated: whether the checkpoint's predictions are learned at their tokens.

    Raises:
        ValueError: as :func:`ptft.training.examples.truncate`, or rows without a template.
    """
    if "ids" in rows[0]:
        made = written_examples(rows)
    elif "text" in rows[0]:
        made = text_examples(tokenizer, rows, max_length)
    elif "messages" in rows[0]:
        made = get_method("instruct").examples(tokenizer, rows, template, max_length)
    elif template:
        made = completion_examples(tokenizer, rows, template, max_length)
    else:
        raise ValueError("replay_template: these rows need one, found none")
    kept, _ = truncate(made, max_length)
    # Weights and messages go by id, which the task's examples could have, too.
    return [
        replace(item, example_id=f"replayed {item.example_id}", imitated=imitated) for item in kept
    ]


# KL: the checkpoint's predictions beside those of the model that is tuned from it.


class Reference:
    """A checkpoint that gives logits; nothing in it is trained.

    Args:
        model: the checkpoint, or the tuned model where that still holds it.
        within: makes a context in which ``model`` is the checkpoint.
    """

    def __init__(
        self,
        model: nn.Module,
        within: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    ) -> None:
        self.model, self.within = model, within

    @torch.no_grad()
    def __call__(self, packed: PackedBatch) -> torch.Tensor:
        """Logits (N, V) at the places that predict a learned token."""
        with self.within():
            return token_logits(self.model, packed)


@dataclass(frozen=True)
class Objective:
    """The loss that an update reduces, apart from penalties on the weights alone.

    Of each learned token its cross-entropy, in dynamic fine-tuning times its probability (Wu et al.
    2025, arXiv 2508.05629), and, ``settings.kl`` times, the divergence of the model's prediction
    from that of ``base``, the checkpoint. Where the checkpoint is imitated, this divergence alone.
    """

    settings: TrainingSettings
    base: Callable[[PackedBatch], torch.Tensor] | None = None

    def __call__(self, model, packed: PackedBatch) -> torch.Tensor:
        """The micro-batch's part of the update's loss: the losses times their weights, summed."""
        # First, because sharded weights that both share are gathered for one pass at a time.
        base = self.base(packed) if self.base else None
        logits = token_logits(model, packed)
        losses = cross_entropy(logits, packed)
        if self.settings.loss == "dft":
            losses = losses * (-losses.detach()).exp()
        if base is not None:
            apart = divergence(base, logits)
            losses = losses + self.settings.kl * apart
            if packed.imitated is not None:
                losses = torch.where(packed.imitated, apart, losses)
        return (losses * packed.weights).sum()


# L2-SP: a penalty on the distance to the weights that training starts from.


class StartingPoint:
    """The penalty strength / 2 x |w - w0|^2 (Li, Grandvalet & Davoine 2018, arXiv 1802.01483).

    All weights of the checkpoint have a counterpart in the tuned model, so there is no second
    term for new ones. It is added to the gradient once per update, since it does not depend on the
    batch; a device that holds a share of each weight does so for its share.

    Args:
        trained: the weights, as they are before the first update; each is copied where it is.
        strength: 0 or more.
        devices: that share the weights.
        sharded: whether each device holds a part of every weight.
    """

    def __init__(
        self, trained: Iterable[torch.Tensor], strength: float, devices: Devices, sharded: bool
    ) -> None:
        self.trained, self.strength = list(trained), strength
        self.devices, self.sharded = devices, sharded
        self.start = [local(weight).detach().clone() for weight in self.trained]

    @torch.no_grad()
    def add_gradient(self) -> torch.Tensor:
        """Add the penalty's gradient to that of the weights; returns the penalty, a scalar."""
        squares = torch.zeros((), device=self.devices.device)
        # In groups, so that the differences of a few weights are in memory at a time.
        for first in range(0, len(self.trained), GROUP):
            weights = self.trained[first : first + GROUP]
            gradients = [local(weight.grad) for weight in weights]
            differences = torch._foreach_sub(
                [local(weight) for weight in weights], self.start[first : first + GROUP]
            )
            torch._foreach_add_(gradients, differences, alpha=self.strength)
            squares += torch.stack(torch._foreach_norm(differences)).square().sum()
        if self.sharded:
            squares = self.devices.total(squares)
        return self.strength / 2 * squares


GROUP = 16
"""Weights whose distance is computed together: few kernels, little memory."""


def penalties(
    settings: TrainingSettings, trained: Mapping[str, torch.Tensor], devices: Devices
) -> list[StartingPoint]:
    """Penalties on the weights; each adds its gradient once per update and returns its value."""
    if not settings.l2sp:
        return []
    sharded = devices.world > 1 and settings.sharding == "full"
    return [StartingPoint(trained.values(), settings.l2sp, devices, sharded)]


# Frozen blocks.


def freeze(model: nn.Module, count: int) -> None:
    """Train neither the first blocks nor the input embeddings; 0 leaves the model as it is.

    An output layer that is tied to the embeddings is frozen with them.

    Raises:
        ValueError: the model has no more blocks than that.
    """
    if not count:
        return
    weights = dict(model.named_parameters())
    blocks = len({block_of(name) for name in weights} - {None})
    if count >= blocks:
        raise ValueError(f"freeze: found {count}, expected fewer than the model's {blocks} blocks")
    model.get_input_embeddings().requires_grad_(False)
    for name, weight in weights.items():
        block = block_of(name)
        if block is not None and block < count:
            weight.requires_grad_(False)


# Early stopping: which weights were best by validation, and when to stop.


@dataclass
class EarlyStopping:
    """State of the validation measurements so far.

    The start is not a candidate: saved weights have been trained. ``patience`` None never stops.
    """

    patience: int | None
    lowest: float = math.inf
    step: int | None = None
    """updates done when validation was lowest"""
    waited: int = 0
    """measurements since then"""

    @property
    def over(self) -> bool:
        """Whether training ends, after ``patience`` measurements without improvement."""
        return self.patience is not None and self.waited >= self.patience

    def measured(self, step: int, loss: float) -> bool:
        """Record a measurement after an update; return whether it is the lowest so far."""
        if loss < self.lowest:
            self.lowest, self.step, self.waited = loss, step, 0
            return True
        self.waited += 1
        return False
