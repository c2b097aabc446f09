"""The gradient of an update: added up over micro-batches that fit into memory."""

import logging
from collections.abc import Sequence

import torch

from ptft.training.batches import device_micro_batches
from ptft.training.devices import Devices, synchronise_gradients
from ptft.training.examples import Example
from ptft.training.loss import Objective
from ptft.training.optimizer import Optimizer
from ptft.training.packing import PackedBatch, example_weights, pack
from ptft.training.run import OutOfMemory

log = logging.getLogger(__name__)


class Gradients:
    """Adds up gradients over micro-batches of ``token_budget``, which is halved if it is too much.

    Args:
        model: as it is called in training.
        objective: what is made smaller.
        optimizer: where the gradients go.
        weighting: of the examples in an update.
        devices: that share the work.
        bfloat16: whether the forward pass works in it.
        token_budget: the same on all devices, which take part in each other's micro-batches.
    """

    def __init__(
        self,
        model,
        objective: Objective,
        optimizer: Optimizer,
        weighting: str,
        devices: Devices,
        bfloat16: bool,
        token_budget: int,
    ) -> None:
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.weighting = weighting
        self.devices, self.bfloat16, self.token_budget = devices, bfloat16, token_budget

    def add_up(self, batch: Sequence[Example], update: int) -> torch.Tensor:
        """Leave the gradient of a batch's loss in the weights, which had none; returns the loss.

        Args:
            update: its number from 1, for messages.

        Raises:
            OutOfMemory: an example alone does not fit, or one of several devices ran out.
        """
        while True:
            try:
                return self.accumulate(batch)
            except torch.OutOfMemoryError:
                # What the failed pass holds is freed when this block ends, not before.
                used = min(self.token_budget, sum(len(item.ids) for item in batch))
            self._halve(used, max(batch, key=lambda item: len(item.ids)), update)

    def accumulate(self, batch: Sequence[Example]) -> torch.Tensor:
        """Add up the gradient over the micro-batches; returns the loss of the whole batch."""
        devices = self.devices
        weights = example_weights(batch, self.weighting)
        total = torch.zeros((), device=devices.device)
        parts = device_micro_batches(batch, self.token_budget, devices.rank, devices.world)
        for place, (part, counted) in enumerate(parts):
            packed = pack(part, weights, devices.device, self.bfloat16)
            synchronise_gradients(self.model, place == len(parts) - 1)
            total += self.add(packed, counted)
            if len(parts) > 1:
                self.optimizer.collect()
        return devices.total(total)

    def add(self, packed: PackedBatch, counted: bool = True) -> torch.Tensor:
        """Add the gradient of one micro-batch; returns its part of the loss.

        Args:
            counted: whether it is a part of the batch, or only keeps other devices company.
        """
        kind = packed.input_ids.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16):
            loss = self.objective(self.model, packed) * counted
        # Devices average their gradients, while the weights are parts of the whole batch.
        (loss * self.devices.world).backward()
        return loss.detach()

    def _halve(self, used: int, longest: Example, update: int) -> None:
        """Halve the token budget after an out-of-memory error with micro-batches of ``used``."""
        self.optimizer.zero_grad()
        tokens = len(longest.ids)
        if used <= tokens:
            raise OutOfMemory(
                f"update {update} ran out of memory with micro-batches of {used} tokens "
                f"(longest example: {longest.example_id}, {tokens} tokens): set token_budget to "
                f"{max(used // 2, 1)}, lower max_length, or shard the model (sharding: full)"
            )
        self.token_budget = max(used // 2, tokens)
        if self.devices.world > 1:
            # The others wait for this one's gradients: only a new start brings all together.
            raise OutOfMemory(
                f"update {update} ran out of memory on one of {self.devices.world} "
                f"devices with micro-batches of {used} tokens: start the job again, it goes on "
                f"from its saved state with {self.token_budget}"
            )
        log.warning("out of memory: micro-batches of %d tokens from now on", self.token_budget)
        if self.devices.device.type == "cuda":
            torch.cuda.empty_cache()
