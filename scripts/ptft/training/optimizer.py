"""AdamW with clipping, in three ways that give the same updates.

``adamw``: gradients are clipped in a pass of their own; then torch's fused AdamW works on float32
weights. ``adamw_clip``: it divides gradients by what clips them as it reads them.
``adamw_masters``: so does one compiled pass that writes bfloat16 weights besides
(:mod:`ptft.training.master_weights`).
"""

import math

import torch
from torch import nn

from ptft.training.master_weights import MasterWeights, norm_of
from ptft.training.settings import TrainingSettings


class Optimizer:
    """Applies the gradients that are in a model's weights.

    Args:
        model: whose weights that require gradients are trained.
        settings: how they are.
        bfloat16: whether the forward pass works in it; if not, no layer has a master.
        recorded: whether updates are recorded as CUDA graphs.

    Attributes:
        trained: by name, the float32 weights that are trained: the model's own, or their masters.
        adamw: torch's optimizer, which holds the moments of all of them.
    """

    def __init__(
        self, model: nn.Module, settings: TrainingSettings, bfloat16: bool, recorded: bool = False
    ) -> None:
        way = settings.optimizer
        self.limit = settings.max_grad_norm or math.inf
        self.clips_inside = way != "adamw"
        self.trained = {k: p for k, p in model.named_parameters() if p.requires_grad}
        self.masters = MasterWeights(model) if bfloat16 and way == "adamw_masters" else None
        if self.masters:
            self.trained = self.masters.instead_of(self.trained)
        # What is compiled or recorded reads the rate from a tensor.
        held = recorded or self.masters is not None
        device = next(iter(self.trained.values())).device
        self.rate = torch.zeros((), device=device) if held else None
        self.adamw = torch.optim.AdamW(
            self.trained.values(),
            weight_decay=settings.weight_decay,
            fused=True,
            capturable=recorded,
        )

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        if self.rate is not None:
            self.rate.fill_(rate)
        for group in self.adamw.param_groups:
            group["lr"] = rate if self.rate is None else self.rate

    def step(self) -> torch.Tensor:
        """Clip the gradients, apply and drop them; returns their norm () before clipping."""
        if self.masters:
            self.masters.make_moments(self.adamw)
        norm = self._norm()
        scale = None
        if self.clips_inside and self.limit < math.inf:
            scale = ((norm + 1e-6) / self.limit).clamp(min=1)
        self.adamw.grad_scale = scale  # where torch's own GradScaler leaves it
        self.adamw.step()
        self.adamw.grad_scale = None
        if self.masters:
            self.masters.step(self.adamw, scale)
        self.zero_grad()
        return norm

    def _norm(self) -> torch.Tensor:
        """The gradients' norm; they are clipped, unless that happens in the step."""
        if not self.clips_inside:
            norm = nn.utils.clip_grad_norm_(self.trained.values(), self.limit)
            return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        whole = [p.grad for p in self.trained.values() if p.grad is not None]
        return norm_of([*whole, *(self.masters.gradients() if self.masters else ())])

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
