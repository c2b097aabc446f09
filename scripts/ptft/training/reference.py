"""The checkpoint's predictions beside those of the model that is tuned from it."""

import contextlib
from collections.abc import Callable

import torch

from ptft.training.loss import token_logits
from ptft.training.packing import PackedBatch


class Reference:
    """A checkpoint that gives logits; nothing in it is trained.

    Args:
        model: the checkpoint, or the tuned model where that still holds it.
        within: makes a context in which ``model`` is the checkpoint.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        within: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    ) -> None:
        self.model, self.within = model, within

    @torch.no_grad()
    def __call__(self, packed: PackedBatch) -> torch.Tensor:
        """Logits (N, V) at the places that predict a learned token."""
        with self.within():
            return token_logits(self.model, packed)
