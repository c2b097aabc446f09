"""Validation: the loss on held-out examples, and how many completions come out exactly."""

import contextlib
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ptft.inference.forward import exact_head
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
    before it: greedy decoding would then reproduce it. As in evaluation, logits are in float32 in
    whatever precision the model works: rounded, they tie.
    """
    weights = example_weights(examples, weighting)
    total, exact = 0.0, 0
    exact_logits = float32_head(model) if bfloat16 else contextlib.nullcontext()
    was_training = model.training
    model.eval()
    for part in micro_batches(examples, token_budget):
        packed = pack(part, weights, device, bfloat16)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16), exact_logits:
            losses, hits = token_losses(model, packed)
        total += (losses * packed.weights).sum().item()
        missed = torch.zeros(len(part), device=device).index_add_(0, packed.owners, (~hits).float())
        exact += int((missed == 0).sum())
    model.train(was_training)
    return total, exact / len(examples)


def float32_head(model) -> contextlib.AbstractContextManager:
    """What lets the head compute float32 logits; nothing where the head itself is adapted."""
    whole = model.module if isinstance(model, DistributedDataParallel) else model
    plain = isinstance(whole.get_output_embeddings(), nn.Linear)
    return exact_head(whole) if plain else contextlib.nullcontext()
