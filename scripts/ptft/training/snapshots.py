"""Weights and optimizer as plain tensors on the CPU and back, however devices share them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ptft.training.devices import Devices, gathered, scattered


def snapshot(
    trained: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer, devices: Devices
) -> dict[str, Any]:
    """Trained weights and the optimizer's state, whole on the main process; all must call it."""
    state = optimizer.state_dict()
    moments = {
        index: {key: gathered(value, devices) for key, value in entry.items()}
        for index, entry in state["state"].items()
    }
    return {
        "parameters": gathered_weights(trained, devices),
        "optimizer": state | {"state": moments},
        "rng": torch.get_rng_state(),
    }


def restore(
    saved: dict[str, Any],
    trained: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """The reverse of :func:`snapshot`; every process reads its own share."""
    moments = saved["optimizer"]["state"]
    load_weights(saved["parameters"], trained)
    for index, own in enumerate(trained.values()):
        for key in ("exp_avg", "exp_avg_sq"):
            moments[index][key] = scattered(moments[index][key], own)
    optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])


def gathered_weights(trained: Mapping[str, torch.Tensor], devices: Devices) -> dict[str, Any]:
    """Weights by name, whole on the main process, None on others; all must call it."""
    return {name: gathered(value, devices) for name, value in trained.items()}


@torch.no_grad()
def load_weights(saved: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor]) -> None:
    """Put saved weights in place."""
    for name, own in trained.items():
        own.copy_(scattered(saved[name], own))


def whole_weights(model: nn.Module, devices: Devices) -> dict[str, torch.Tensor | None]:
    """All weights of a model, whole, on the main process; every process must call it.

    What is tied is gathered once and stays one tensor.
    """
    weights = model.state_dict(keep_vars=True)
    whole: dict[int, torch.Tensor | None] = {}
    for value in weights.values():
        if id(value) not in whole:
            whole[id(value)] = gathered(value, devices)
    return {name: whole[id(value)] for name, value in weights.items()}
