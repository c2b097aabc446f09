"""Weights computed from a model's without training, by name of the derivation.

A derivation is one module here and one entry of ``DERIVATIONS``. Importing this package imports no
torch: the study's schema reads names and strengths only.
"""

import inspect

from ptft.models.derive.base import Derivation
from ptft.models.derive.interpolate import Interpolate
from ptft.models.derive.noise import Noise

DERIVATIONS: dict[str, type[Derivation]] = {"interpolate": Interpolate, "noise": Noise}


def summary(name: str) -> str:
    """What a derivation is, in one line."""
    return inspect.getdoc(DERIVATIONS[name]).splitlines()[0]


def get_derivation(name: str) -> Derivation:
    """The derivation of a name.

    Raises:
        ValueError: there is no such derivation.
    """
    if name not in DERIVATIONS:
        raise ValueError(f"derivation: found {name!r}, expected one of {sorted(DERIVATIONS)}")
    return DERIVATIONS[name]()
