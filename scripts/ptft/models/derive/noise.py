"""Gaussian noise on a model's matrices, in proportion to the spread of each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ptft.models.derive.base import Derivation, Parent

if TYPE_CHECKING:
    import torch

    from ptft.models.derive.base import Weights


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

    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
    return torch.randn(shape, generator=generator)
