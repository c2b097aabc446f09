"""AdamW with clipping, in three ways that give the same updates.

``adamw``: gradients are clipped in a pass of their own; then torch's fused AdamW works on float32
weights. ``adamw_clip``: it divides gradients by what clips them as it reads them.
``adamw_masters``: so does one compiled pass that writes bfloat16 weights besides
(:mod:`ptft.training.master_weights`).
"""

import math

import torch
from torch import nn

from ptft.training.master_weights import MasterWeights
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
        self.rate = None
        if recorded or self.masters:
            self.rate = torch.zeros((), device=next(model.parameters()).device)
        self.recorded = recorded
        self.adamw = torch.optim.AdamW(
            self.trained.values(), weight_decay=settings.weight_decay, fused=True
        )
        self.adamw._warned_capturable_if_run_uncaptured = True  # as first updates of a size are

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        if self.rate is not None:
            self.rate.fill_(rate)
        for group in self.adamw.param_groups:
            group["lr"] = rate if self.rate is None else self.rate
            group["capturable"] = self.recorded  # a saved state may have been made elsewhere

    def step(self) -> torch.Tensor:
        """Clip the gradients, apply and drop them; returns their norm () before clipping."""
        if self.rate is not None:
            self._make_moments()
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
        gradients = [p.grad for p in self.trained.values() if p.grad is not None]
        return norm_of(gradients, self.masters.gradients() if self.masters else [])

    def _make_moments(self) -> None:
        """Moments of 0, where torch's optimizer would put them, for weights that have none yet.

        It does so itself as well, but not for masters; and if memory ends between two moments, it
        leaves one alone.
        """
        for weight in self.trained.values():
            if not self.adamw.state[weight]:
                self.adamw.state[weight] = {
                    "step": torch.zeros((), device=weight.device),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }

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


def norm_of(*groups: list[torch.Tensor]) -> torch.Tensor:
    """Euclidean norm () in float32 of all gradients; those of a group have the same precision."""
    norms = [torch._foreach_norm(group, 2.0, torch.float32) for group in groups if group]
    return torch.stack([norm for group in norms for norm in group]).norm()
