"""L2-SP: a penalty on the distance to the weights that training starts from."""

from collections.abc import Iterable

import torch

from ptft.training.devices import Devices, local


class StartingPoint:
    """The penalty strength / 2 x |w - w0|^2 (Li, Grandvalet & Davoine 2018, arXiv 1802.01483).

    All weights of the checkpoint have a counterpart in the tuned model, so there is no second
    term for new ones. It is added to the gradient once per update, since it does not depend on the
    batch; a device that holds a share of each weight does so for its share.

    Args:
        trained: the weights, as they are before the first update; each is copied where it is.
        strength: 0 or more.
        devices: that share the weights.
        sharded: whether each device holds a part of every weight.
    """

    def __init__(
        self, trained: Iterable[torch.Tensor], strength: float, devices: Devices, sharded: bool
    ) -> None:
        self.trained, self.strength = list(trained), strength
        self.devices, self.sharded = devices, sharded
        self.start = [local(weight).detach().clone() for weight in self.trained]

    @torch.no_grad()
    def add_gradient(self) -> torch.Tensor:
        """Add the penalty's gradient to that of the weights; returns the penalty, a scalar."""
        squares = torch.zeros((), device=self.devices.device)
        for weight, start in zip(self.trained, self.start, strict=True):
            difference = local(weight) - start
            local(weight.grad).add_(difference, alpha=self.strength)
            squares += difference.square().sum()
        if self.sharded:
            squares = self.devices.total(squares)
        return self.strength / 2 * squares
