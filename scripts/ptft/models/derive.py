"""Weights computed from a model's without training, by name of the derivation.

A derivation is one class here and one entry of ``DERIVATIONS``. Importing this module imports no
torch: the study's schema reads names and strengths only.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from ptft.models.folder import ModelFolder
from ptft.models.snapshots import snapshot_name

if TYPE_CHECKING:
    import torch
    from torch import nn

    Weights = Mapping[str, torch.Tensor]


class Parent(ModelFolder):
    """The model that weights are derived from, read from its files in float32, on the CPU."""

    @cached_property
    def weights(self) -> Weights:
        """Name -> weight of the model, an adapter merged in."""
        from ptft.models.loading import load_tuned

        return _weights(load_tuned(self.folder, self.checkpoint))

    @cached_property
    def start(self) -> Weights:
        """Name -> weight of the checkpoint."""
        from ptft.models.loading import load_model

        return _weights(load_model(self.checkpoint))


def _weights(model: nn.Module) -> Weights:
    """A model's weights by name, tied ones once."""
    return {name: weight.detach() for name, weight in model.named_parameters()}


class Derivation:
    """One way of deriving weights. Those of a model that are not named stay as they are."""

    version: ClassVar[int] = 1
    """part of a cell's key: raise it when the same strength gives other weights"""
    of_base: ClassVar[bool] = True
    """whether a checkpoint as it is can be derived from"""
    seeded: ClassVar[bool] = False
    """whether something is drawn, so that an arm has a seed of its own"""
    strengths: ClassVar[str]
    """the strengths that it takes, in words"""

    def takes(self, strength: float) -> bool:
        """Whether a strength is one of these."""
        raise NotImplementedError

    def others(self, parent: Parent, strength: float) -> Mapping[str, ModelFolder]:
        """Models that decide the weights beside the parent: part of a cell's key."""
        return {}

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """The derived weights, in float32."""
        raise NotImplementedError


class Interpolate(Derivation):
    """(1 - a) x checkpoint + a x tuned model, an adapter merged in (WiSE-FT, arXiv 2109.01903)."""

    version = 2
    of_base = False
    strengths = "0 (the checkpoint) to 1 (the tuned model), and on to 1.5"

    def takes(self, strength: float) -> bool:
        """Whether the strength is in [0, 1.5]."""
        return 0 <= strength <= 1.5

    def others(self, parent: Parent, strength: float) -> Mapping[str, ModelFolder]:
        """The checkpoint."""
        return {"checkpoint": parent.origin}

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """In float32, where strengths 0 and 1 give both ends exactly."""
        return {
            name: (1 - strength) * parent.start[name] + strength * weight
            for name, weight in parent.weights.items()
        }


class Noise(Derivation):
    """Each entry of a matrix W moves by N(0, (strength x std(W))^2); vectors stay."""

    seeded = True
    strengths = "more than 0: the noise's standard deviation relative to the matrix's own"

    def takes(self, strength: float) -> bool:
        """Whether there is any noise."""
        return strength > 0

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """In float32. The same seed draws the same noise at every strength."""
        return {
            name: weight + strength * weight.std() * draw(name, weight.shape, seed)
            if weight.ndim >= 2
            else weight
            for name, weight in parent.weights.items()
        }


def draw(name: str, shape: torch.Size, seed: int) -> torch.Tensor:
    """Standard normal numbers that follow from a matrix's name and a seed alone.

    They are drawn on the CPU, so they are the same in every process and beside every device.
    """
    import torch

    generator = torch.Generator().manual_seed(stream(name, seed))
    return torch.randn(shape, generator=generator)


def stream(name: str, seed: int) -> int:
    """Seed of the random numbers of one matrix, of 64 bits."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class Snapshot(Derivation):
    """The weights on the way of a training, which its job, or a copy of it, has left."""

    of_base = False
    strengths = "an update from 1 on, or a share of the training between 0 and 1"

    def takes(self, strength: float) -> bool:
        """Whether the strength is an update, or a share of all."""
        return 0 < strength < 1 or (strength >= 1 and strength == int(strength))

    def others(self, parent: Parent, strength: float) -> Mapping[str, ModelFolder]:
        """The model of that moment, beside the finished one."""
        folder = parent.folder.with_name(snapshot_name(parent.folder.name, strength))
        return {"snapshot": ModelFolder(folder, parent.checkpoint)}

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """In float32, an adapter merged in."""
        return Parent(self.others(parent, strength)["snapshot"].folder, parent.checkpoint).weights


DERIVATIONS: dict[str, type[Derivation]] = {"interpolate": Interpolate, "noise": Noise}


def summary(derivation: type[Derivation]) -> str:
    """A derivation's one line of description."""
    return inspect.getdoc(derivation).splitlines()[0]
