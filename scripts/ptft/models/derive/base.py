"""What a derivation decides, and what it is given of the model that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ptft.models.folder import ADAPTER_CONFIG

if TYPE_CHECKING:
    import torch
    from torch import nn

    Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Parent:
    """The model that weights are derived from, read from its files in float32, on the CPU.

    Attributes:
        folder: of the model, or of an adapter.
        checkpoint: that it was trained from; of a base model it is the model itself.
    """

    folder: Path
    checkpoint: Path

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds an adapter of the checkpoint, not whole weights."""
        return (self.folder / ADAPTER_CONFIG).exists()

    @cached_property
    def weights(self) -> Weights:
        """Name -> weight of the model, an adapter merged in."""
        return self.rescaled(1.0)

    @cached_property
    def start(self) -> Weights:
        """Name -> weight of the checkpoint."""
        from ptft.models.loading import load_model

        return _weights(load_model(self.checkpoint))

    def rescaled(self, scale: float) -> Weights:
        """The model with so much of its adapter, as peft scales it; whole weights have no scale.

        Raises:
            ValueError: peft can't scale an adapter of this kind.
        """
        from ptft.models.adapters import load_tuned

        return _weights(load_tuned(self.folder, self.checkpoint, scale=scale))


def _weights(model: nn.Module) -> Weights:
    """A model's weights by name, tied ones once."""
    return {name: weight.detach() for name, weight in model.named_parameters()}


class Derivation:
    """One way of deriving weights. Those of a model that are not named stay as they are."""

    version: ClassVar[int] = 1
    """part of a cell's key: raise it when the same strength gives other weights"""
    of_base: ClassVar[bool] = True
    """whether a checkpoint as it is can be derived from"""
    from_start: ClassVar[bool] = False
    """whether the weights of the checkpoint decide the result beside the model's own"""
    seeded: ClassVar[bool] = False
    """whether something is drawn, so that an arm has a seed of its own"""
    strengths: ClassVar[str]
    """the strengths that it takes, in words"""

    def takes(self, strength: float) -> bool:
        """Whether a strength is one of these."""
        raise NotImplementedError

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """The derived weights, in float32."""
        raise NotImplementedError
