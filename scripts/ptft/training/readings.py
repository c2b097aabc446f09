"""Losses and gradient norms: left on the device by updates, read together, and watched."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from ptft.training.run import Diverged

DIVERGED_AFTER = 20
"""Updates in a row with a loss twice that of guessing evenly over the vocabulary."""
CHECK_EVERY_ON_CUDA = 10
"""Reading a loss waits for the device, so on CUDA several are read at once."""


class Readings:
    """What updates measure, on its way to the learning curve.

    Args:
        steps: updates of the whole run, for messages.
        vocabulary: tokens that a model chooses from.
        device: that the updates run on.

    Attributes:
        curve: rows of the learning curve (``ptft.training.curve``).
        hopeless: updates in a row whose loss is worse than knowing nothing.
    """

    def __init__(self, steps: int, vocabulary: int, device: torch.device) -> None:
        self.steps, self.guessing = steps, math.log(vocabulary)
        self.together = CHECK_EVERY_ON_CUDA if device.type == "cuda" else 1
        self.curve: list[dict[str, Any]] = []
        self.hopeless = 0
        self._unread: list[tuple[dict[str, Any], torch.Tensor, list[str]]] = []

    def leave(self, row: dict[str, Any], measured: torch.Tensor, ids: list[str]) -> None:
        """Take what an update measured, unread.

        Args:
            row: of the curve, but for what was measured.
            measured: (2,) loss and gradient norm.
            ids: the update's examples.
        """
        self._unread.append((row, measured, ids))

    def took(self, seconds: float) -> None:
        """Note when the last update was over."""
        self._unread[-1][0]["seconds"] = seconds

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        return len(self._unread) >= self.together

    def read(self) -> None:
        """Move finished updates to the curve.

        Raises:
            Diverged: the loss or norm is not finite, or the loss has been hopeless for long.
        """
        for row, measured, ids in self._unread:
            loss, norm = measured.tolist()
            self.curve.append(row | {"loss": loss, "grad_norm": norm})
            self.hopeless = self.hopeless + 1 if loss > 2 * self.guessing else 0
            if not (math.isfinite(loss) and math.isfinite(norm)) or (
                self.hopeless >= DIVERGED_AFTER
            ):
                raise Diverged(self._told(row, loss, norm, ids))
        self._unread.clear()

    def _told(self, row: dict[str, Any], loss: float, norm: float, ids: Sequence[str]) -> str:
        return (
            f"training diverged at update {row['step']} of {self.steps}: loss {loss:.4g}, "
            f"gradient norm {norm:.4g}, learning rate {row['lr']:.4g}, examples {ids}. "
            "No model is saved; use a lower lr or a lower max_grad_norm"
        )
