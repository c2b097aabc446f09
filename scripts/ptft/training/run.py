"""What a training run is made of, and how it can fail."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ptft.training.devices import Devices
from ptft.training.examples import Example
from ptft.training.reference import Reference
from ptft.training.replay import Replayed
from ptft.training.settings import TrainingSettings


class Diverged(Exception):
    """Training cannot go on: the loss is not finite, or worse than knowing nothing."""


class OutOfMemory(Exception):
    """Not even one example fits into memory, or several devices must start again with less."""


@dataclass
class Run:
    """One training run: what learns, from what (validation may be empty), and how.

    ``model`` is on its device or devices already (``devices.place``), and so is ``base``, which
    ``settings.kl`` needs.
    """

    model: nn.Module
    train: Sequence[Example]
    validation: Sequence[Example]
    settings: TrainingSettings
    lr: float
    seed: int
    devices: Devices
    replayed: Replayed | None = None
    base: Reference | None = None


def works_in_bfloat16(settings: TrainingSettings, device: torch.device) -> bool:
    """Whether the forward pass is in bfloat16; weights and optimizer are in float32."""
    return settings.dtype == "bfloat16" or (settings.dtype == "auto" and device.type == "cuda")


def compile_layers(model: nn.Module) -> None:
    """Compile each decoder layer, for any number of tokens: one compilation serves them all."""
    blocks = set(getattr(model, "_no_split_modules", None) or ())
    for part in model.modules():
        if type(part).__name__ in blocks:
            part.compile(dynamic=True)
