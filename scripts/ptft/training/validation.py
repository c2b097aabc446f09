"""Validation: the loss on held-out examples, and how many completions come out exactly."""

from collections.abc import Sequence

import torch

from ptft.training.batches import micro_batches
from ptft.training.examples import Example
from ptft.training.loss import token_losses
from ptft.training.packing import example_weights, pack


@torch.no_grad()
def validate(
    model,
    examples: Sequence[Example],
    weighting: str,
    token_budget: int,
    device: torch.device,
    bfloat16: bool,
) -> tuple[float, float]:
    """Loss, weighted as in training, and the share of examples whose completion is exact.

    A completion is exact if the model ranks each of its tokens, EOS included, first given those
    before it: greedy decoding would then reproduce it.
    """
    weights = example_weights(examples, weighting)
    total, exact = 0.0, 0
    was_training = model.training
    model.eval()
    for part in micro_batches(examples, token_budget):
        packed = pack(part, weights, device, bfloat16)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            losses, hits = token_losses(model, packed)
        total += (losses * packed.weights).sum().item()
        missed = torch.zeros(len(part), device=device).index_add_(0, packed.owners, (~hits).float())
        exact += int((missed == 0).sum())
    model.train(was_training)
    return total, exact / len(examples)
