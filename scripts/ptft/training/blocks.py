"""The blocks of a model, told by the numbers in its weights' names, and freezing the first."""

import re

from torch import nn


def block_of(name: str) -> int | None:
    """Number of the block, from 0, that a weight belongs to; None outside of the blocks."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else None


def freeze(model: nn.Module, count: int) -> None:
    """Train neither the first blocks nor the input embeddings; 0 leaves the model as it is.

    An output layer that is tied to the embeddings is frozen with them.

    Raises:
        ValueError: the model has no more blocks than that.
    """
    if not count:
        return
    weights = {name: weight for name, weight in model.named_parameters()}
    blocks = len({block_of(name) for name in weights} - {None})
    if count >= blocks:
        raise ValueError(f"freeze: found {count}, expected fewer than the model's {blocks} blocks")
    model.get_input_embeddings().requires_grad_(False)
    for name, weight in weights.items():
        block = block_of(name)
        if block is not None and block < count:
            weight.requires_grad_(False)
