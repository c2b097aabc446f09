"""Linear layers that hold bfloat16 weights, while AdamW works on float32 masters of them.

Under autocast each pass rounds every weight, and widens its gradient. Here a weight is rounded once
an update, and one compiled pass over the memory clips, moves the moments and the master, and rounds
it. A layer computes the same bits as under autocast, and so does its gradient. The output layer and
whatever is not linear stay in float32.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ptft.training.blocks import block_of


class MasterWeights:
    """Takes the trained weights of a model's linear layers out, and puts rounded ones in.

    Args:
        model: with float32 weights, on its device.

    Attributes:
        weights: by name, the layers' own, in bfloat16.
        masters: by name, in float32.
    """

    def __init__(self, model: nn.Module) -> None:
        head = model.get_output_embeddings()
        linear = {
            id(part.weight)
            for part in model.modules()
            if isinstance(part, nn.Linear) and part is not head and part.weight.requires_grad
        }
        self.weights = {k: p for k, p in model.named_parameters() if id(p) in linear}
        self.masters = {name: weight.data for name, weight in self.weights.items()}
        for weight in self.weights.values():
            weight.data = weight.data.bfloat16()

    def instead_of(self, trained: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same names in the same order, with masters where there are some."""
        return {name: self.masters.get(name, weight) for name, weight in trained.items()}

    def collect(self) -> None:
        """Add the layers' gradients to those of the masters, which are in float32."""
        for name, weight in self.weights.items():
            if weight.grad is None:
                continue
            master, gradient = self.masters[name], weight.grad.float()
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            weight.grad = None

    def gradients(self) -> list[torch.Tensor]:
        """The layers' gradients, in bfloat16; none where they were collected."""
        return [weight.grad for weight in self.weights.values() if weight.grad is not None]

    def step(self, adamw: torch.optim.AdamW, scale: torch.Tensor | None) -> None:
        """An update from the layers' own gradients, which are dropped.

        Where they were collected, ``adamw`` has made it, and the layers only learn of it.

        Args:
            adamw: torch's optimizer of the masters, which keeps their moments and is used for its
                settings; its learning rate is a tensor.
            scale: () what gradients are divided by; None: nothing.
        """
        if not self.gradients():
            self.publish()
            return
        group = adamw.param_groups[0]
        beta1, beta2 = group["betas"]
        steps = [adamw.state[master]["step"] for master in self.masters.values()]
        torch._foreach_add_(steps, 1)
        done = steps[0].double()  # as in torch's kernel: 1 - 0.999 has few digits in float32
        corrections = torch.stack([1 - beta1**done, (1 - beta2**done).sqrt()]).float()
        scale = torch.ones_like(group["lr"]) if scale is None else scale
        constants = (beta1, beta2, group["eps"], group["weight_decay"])
        for names in self._blocks.values():
            masters = [self.masters[name] for name in names]
            states = [adamw.state[master] for master in masters]
            _compiled()(
                masters,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [self.weights[name].data for name in names],
                [self.weights[name].grad for name in names],
                *(group["lr"], scale, corrections),
                *constants,
            )
        self.zero_grad()

    @functools.cached_property
    def _blocks(self) -> dict[int | None, list[str]]:
        """Names by block: blocks have the same shapes, so they share one compilation."""
        found: dict[int | None, list[str]] = {}
        for name in self.weights:
            found.setdefault(block_of(name), []).append(name)
        return found

    @torch.no_grad()
    def publish(self) -> None:
        """Round the masters into the layers."""
        torch._foreach_copy_(list(self.weights.values()), list(self.masters.values()))

    def zero_grad(self) -> None:
        """Drop the layers' gradients."""
        for weight in self.weights.values():
            weight.grad = None

    def end(self) -> None:
        """Give the layers their masters, so that the model is in float32 again."""
        for name, weight in self.weights.items():
            weight.data = self.masters[name]


@functools.cache
def _compiled() -> Any:
    return torch.compile(_adamw, dynamic=False)


@torch.no_grad()
def _adamw(
    masters: list[torch.Tensor],
    firsts: list[torch.Tensor],
    seconds: list[torch.Tensor],
    weights: list[torch.Tensor],
    gradients: list[torch.Tensor],
    rate: torch.Tensor,
    scale: torch.Tensor,
    corrections: torch.Tensor,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
) -> None:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), algorithm 2, in the order of torch's.

    Args:
        masters, firsts, seconds: float32 weights and moments, changed.
        weights: in bfloat16, overwritten.
        gradients: in bfloat16, divided by ``scale``.
        corrections: (2,) 1 - beta1^t and the root of 1 - beta2^t.
    """
    for master, first, second, weight, gradient in zip(
        masters, firsts, seconds, weights, gradients, strict=True
    ):
        scaled = gradient.float() / scale
        first.lerp_(scaled, 1 - beta1)
        second.mul_(beta2).addcmul_(scaled, scaled, value=1 - beta2)
        root = second.sqrt() / corrections[1] + eps
        master.mul_(1 - rate * decay).sub_(rate / corrections[0] * first / root)
        weight.copy_(master)
