"""Losses of a packed micro-batch: only learned tokens go through the output projection."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ptft.training.packing import PackedBatch

Base = Callable[[PackedBatch], torch.Tensor]
"""Gives the checkpoint's logits (N, V), without a gradient."""


def token_logits(model, packed: PackedBatch) -> torch.Tensor:
    """Logits (N, V) at the places that predict a learned token.

    ``use_cache=False``: with a cache, transformers takes packed positions for one long sequence.
    """
    return model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        use_cache=False,
        logits_to_keep=packed.predictors,
        layout=packed.layout,
    ).logits[0]


def token_losses(model, packed: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy (N,) float32 of learned tokens, and whether the model ranks each first (N,)."""
    logits = token_logits(model, packed)
    return _cross_entropy(logits, packed), logits.detach().argmax(dim=-1) == packed.targets


def divergence(base: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(base || model) (N,) float32 in nats: sum over v of p_base(v) ln(p_base(v) / p_model(v)).

    Args:
        base, logits: (N, V) of the checkpoint and of the model.
    """
    expected, found = (each.float().log_softmax(dim=-1) for each in (base, logits))
    return F.kl_div(found, expected, reduction="none", log_target=True).sum(dim=-1)


@dataclass(frozen=True)
class Objective:
    """The loss that an update reduces, apart from penalties on the weights alone.

    Of each learned token its cross-entropy and, ``kl`` times, the divergence of the model's
    prediction from the checkpoint's.
    """

    kl: float = 0.0
    base: Base | None = None

    def __call__(self, model, packed: PackedBatch) -> torch.Tensor:
        """The micro-batch's part of the update's loss: the losses times their weights, summed."""
        # First, because sharded weights that both share are gathered for one pass at a time.
        base = self.base(packed) if self.base else None
        logits = token_logits(model, packed)
        losses = _cross_entropy(logits, packed)
        if base is not None:
            losses = losses + self.kl * divergence(base, logits)
        return (losses * packed.weights).sum()


def _cross_entropy(logits: torch.Tensor, packed: PackedBatch) -> torch.Tensor:
    return F.cross_entropy(logits.float(), packed.targets, reduction="none")
