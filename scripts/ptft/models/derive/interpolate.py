"""Interpolation between a checkpoint and its tuned model (WiSE-FT, arXiv 2109.01903)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptft.models.derive.base import Derivation, Parent

if TYPE_CHECKING:
    from ptft.models.derive.base import Weights


class Interpolate(Derivation):
    """(1 - a) x checkpoint + a x tuned model; an adapter is scaled by a."""

    of_base = False
    from_start = True
    strengths = "0 (the checkpoint) to 1 (the tuned model), and on to 1.5"

    def takes(self, strength: float) -> bool:
        """Whether the strength is in [0, 1.5]."""
        return 0 <= strength <= 1.5

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """In float32, where strengths 0 and 1 give both ends exactly."""
        if parent.is_adapter:
            return parent.rescaled(strength)
        return {
            name: (1 - strength) * parent.start[name] + strength * weight
            for name, weight in parent.weights.items()
        }
