"""Losses of a packed micro-batch: only learned tokens go through the output projection."""

import torch
import torch.nn.functional as F

from ptft.training.packing import PackedBatch


def token_losses(model, packed: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy (N,) float32 of each learned token, and whether the model ranks it first (N,).

    ``use_cache=False``: with a cache, transformers takes packed positions for one long sequence.
    """
    logits = model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        use_cache=False,
        logits_to_keep=packed.predictors,
        layout=packed.layout,
    ).logits[0]  # (N, V)
    losses = F.cross_entropy(logits.float(), packed.targets, reduction="none")
    return losses, logits.detach().argmax(dim=-1) == packed.targets


def weighted_loss(model, packed: PackedBatch) -> torch.Tensor:
    """The micro-batch's part of the update's loss: the losses times their weights, summed."""
    losses, _ = token_losses(model, packed)
    return (losses * packed.weights).sum()
