"""How far a tuned model is from its checkpoint: what is said to predict forgetting.

Measured once, when training has ended: the divergence of predictions on examples of the task
(Shenfeld et al. 2025, arXiv 2509.04259), and the distance of the weights. Of the weights as
trained, in float32, not as they are rounded to be saved.
"""

import contextlib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ptft.training.batches import epoch_order, micro_batches
from ptft.training.blocks import block_of
from ptft.training.examples import Example
from ptft.training.loss import divergence, token_logits
from ptft.training.methods.base import Method
from ptft.training.packing import example_weights, pack
from ptft.training.reference import Reference
from ptft.training.validation import float32_head

log = logging.getLogger(__name__)

MOST_EXAMPLES = 256
"""whose predictions are compared"""
TOKENS = 4096
"""in a micro-batch: logits of two models are in memory at once"""


def compared_examples(
    train: Sequence[Example], validation: Sequence[Example], seed: int
) -> list[Example]:
    """Those held out for validation; where there are none, the first that are trained on."""
    if validation:
        return list(validation[:MOST_EXAMPLES])
    return [train[index] for index in epoch_order(len(train), seed, 0)[:MOST_EXAMPLES]]


@torch.no_grad()
def kl_from_base(
    model: nn.Module,
    base: Reference,
    examples: Sequence[Example],
    device: torch.device,
    bfloat16: bool,
) -> float:
    """Mean over the learned tokens of KL(base || model), in nats.

    The forward passes are in the precision of training, the logits and all behind them in float32.
    """
    weights = example_weights(examples, "token")
    was_training = model.training
    model.eval()
    total = 0.0
    for part in micro_batches(examples, TOKENS):
        packed = pack(part, weights, device, bfloat16)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            with _exact(base.model, bfloat16):
                expected = base(packed)
            with _exact(model, bfloat16):
                found = token_logits(model, packed)
        total += (divergence(expected, found) * packed.weights).sum().item()
    model.train(was_training)
    return total


def _exact(model: nn.Module, bfloat16: bool) -> contextlib.AbstractContextManager:
    return float32_head(model) if bfloat16 else contextlib.nullcontext()


@torch.no_grad()
def distances(
    method: Method,
    model: nn.Module,
    trained: Mapping[str, torch.Tensor],
    stored: Mapping[str, torch.Tensor],
) -> dict[str, Any]:
    """The Euclidean distance of the tuned weights from the checkpoint's.

    Args:
        trained: the trained weights by name, whole; what is not trained has not moved.
        stored: the checkpoint's weights, each read from its file when it is needed.

    Returns:
        ``distance``; ``relative_distance``, over the norm of all of the checkpoint's weights;
        ``distance_by_layer``, of each block; what is outside of the blocks is in the first two
        alone. All are None, with a warning, where the files name weights otherwise.
    """
    names = method.original_names(model)
    missing = [name for name in names if name not in stored]
    if missing:
        log.warning("no distance from the checkpoint: its files have no %s", missing[0])
        return dict.fromkeys(("distance", "relative_distance", "distance_by_layer"))
    squares = [0.0] * len({block_of(name) for name in names} - {None})
    outside = 0.0
    for name, change in method.changes(model, trained, stored):
        block = block_of(name)
        if block is None:
            outside += _square(change)
        else:
            squares[block] += _square(change)
    distance = math.sqrt(sum(squares) + outside)
    norm = math.sqrt(sum(_square(stored[name].float()) for name in names))
    return {
        "distance": distance,
        "relative_distance": distance / norm,
        "distance_by_layer": [math.sqrt(each) for each in squares],
    }


def _square(tensor: torch.Tensor) -> float:
    return torch.linalg.vector_norm(tensor, dtype=torch.float64).item() ** 2
