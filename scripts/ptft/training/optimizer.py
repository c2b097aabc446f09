"""The paper's learning-rate schedule, and AdamW with clipping.

Weights and moments are in float32. Where the forward pass is in bfloat16, linear layers can hold
rounded weights (:class:`MasterWeights`): the same updates with less memory traffic.
"""

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ptft.training.devices import block_of
from ptft.training.settings import TrainingSettings


def learning_rate(step: int, steps: int, peak: float, warmup_ratio: float) -> float:
    """Learning rate of update ``step`` (from 0) of ``steps``: linear warm-up, then decay to zero.

    The same values as transformers' ``get_linear_schedule_with_warmup`` with
    ``ceil(steps * warmup_ratio)`` warm-up updates, as its Trainer computes them; but warm-up never
    takes all updates, so a run of one update is at the peak, not at 0. A function of the step
    alone, so that a resumed run needs no scheduler state.
    """
    warmup = min(math.ceil(steps * warmup_ratio), steps - 1)
    if step < warmup:
        return peak * step / max(1, warmup)
    return peak * max(0.0, (steps - step) / max(1, steps - warmup))


class Optimizer:
    """Applies the gradients that are in a model's weights.

    Args:
        model: whose weights that require gradients are trained.
        settings: how they are.
        masters: whether linear layers hold bfloat16 weights, with float32 masters.

    Attributes:
        trained: by name, the float32 weights that are trained: the model's own, or their masters.
        adamw: torch's optimizer, which holds the moments of all of them.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings, masters: bool = False) -> None:
        self.limit = settings.max_grad_norm or math.inf
        self.trained = {k: p for k, p in model.named_parameters() if p.requires_grad}
        self.masters = MasterWeights(model) if masters else None
        if self.masters:
            self.trained = self.masters.instead_of(self.trained)
        self.adamw = torch.optim.AdamW(
            self.trained.values(), weight_decay=settings.weight_decay, fused=True
        )

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.adamw.param_groups:
            group["lr"] = rate

    def step(self) -> torch.Tensor:
        """Clip the gradients, apply and drop them; returns their norm () before clipping."""
        if self.masters is None:
            norm = nn.utils.clip_grad_norm_(self.trained.values(), self.limit)
            norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
            self.adamw.step()
        else:
            own = [weight for weight in self.trained.values() if weight.grad is not None]
            norm = norm_of([weight.grad for weight in own], self.masters.gradients())
            nn.utils.clip_grads_with_norm_(own, self.limit, norm)
            self.adamw.step()
            self.masters.step(self.adamw, ((norm + 1e-6) / self.limit).clamp(min=1))
        self.zero_grad()
        return norm

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self.adamw.zero_grad(set_to_none=True)
        if self.masters:
            self.masters.zero_grad()

    def collect(self) -> None:
        """Bring gradients to ``trained``, in float32: there they add up without being rounded."""
        if self.masters:
            self.masters.collect()

    def publish(self) -> None:
        """To be called when somebody else has written to ``trained``."""
        if self.masters:
            self.masters.publish()

    def end(self) -> None:
        """The model's own weights are ``trained`` again."""
        if self.masters:
            self.masters.end()

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """The model's own weights are ``trained`` for a while, between two updates."""
        self.end()
        yield
        if self.masters:
            self.masters.begin()


def norm_of(*groups: list[torch.Tensor]) -> torch.Tensor:
    """Euclidean norm () in float32 of all gradients; those of a group have the same precision."""
    norms = [torch._foreach_norm(group, 2.0, torch.float32) for group in groups if group]
    return torch.stack([norm for group in norms for norm in group]).norm()


class MasterWeights:
    """Linear layers hold bfloat16 weights, while AdamW works on float32 masters of them.

    Under autocast each pass rounds every weight, and widens its gradient. Here a weight is rounded
    once an update, and one compiled pass over the memory clips, moves the moments and the master,
    and rounds it. A layer computes the same bits as under autocast, and so does its gradient. The
    output layer and whatever is not linear stay in float32.

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
        self.begin()

    def begin(self) -> None:
        """Give the layers rounded weights in place of their masters."""
        for name, weight in self.weights.items():
            weight.data = self.masters[name].bfloat16()

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

    def step(self, adamw: torch.optim.AdamW, scale: torch.Tensor) -> None:
        """An update from the layers' own gradients, which are dropped.

        Where they were collected, ``adamw`` has made it, and the layers only learn of it.

        Args:
            adamw: torch's optimizer of the masters, which keeps their moments and settings.
            scale: () what gradients are divided by.
        """
        if not self.gradients():
            self.publish()
            return
        self._make_moments(adamw)
        group = adamw.param_groups[0]
        beta1, beta2 = group["betas"]
        steps = [adamw.state[master]["step"] for master in self.masters.values()]
        torch._foreach_add_(steps, 1)
        done = steps[0].double()  # as in torch's kernel: 1 - 0.999 has few digits in float32
        corrections = torch.stack([1 - beta1**done, (1 - beta2**done).sqrt()]).float()
        # What is compiled reads the rate from a tensor: a number would be compiled in.
        rate = torch.full_like(scale, group["lr"])
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
                *(rate, scale, corrections),
                *constants,
            )
        self.zero_grad()

    def _make_moments(self, adamw: torch.optim.AdamW) -> None:
        """Moments of 0, where torch's optimizer would put them, for masters that have none yet."""
        for master in self.masters.values():
            if not adamw.state[master]:
                adamw.state[master] = {
                    "step": torch.zeros((), device=master.device),
                    "exp_avg": torch.zeros_like(master),
                    "exp_avg_sq": torch.zeros_like(master),
                }

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
