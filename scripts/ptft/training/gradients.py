"""The gradient of an update, added up over micro-batches that fit into memory."""

import logging
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ptft.training.devices import Devices, local, synchronise_gradients
from ptft.training.examples import Example, device_micro_batches, micro_batches
from ptft.training.optimizer import Optimizer
from ptft.training.packing import example_weights, pack
from ptft.training.remedies import Objective
from ptft.training.state import OutOfMemory

log = logging.getLogger(__name__)

CPU_TOKENS = 4096
"""On a CPU larger micro-batches take more memory and no less time."""
PROBE_TOKENS = 2048
MOST_TOKENS = 65536
SHARE_OF_FREE = 0.85
"""The rest is for what a trial does not show: fragments, and what kernels work in."""
MOMENT_BYTES, GRADIENT_BYTES = 8, 4
"""AdamW's two moments, and the gradient, of a float32 parameter."""


@dataclass(frozen=True)
class TokenBudget:
    """Tokens of a micro-batch, at most.

    whole: of a batch that is learned from at once. Its gradients appear as its activations go, so
    it needs less memory than the same tokens in two parts, of which the second finds the gradients
    of the first. parts: of each part of a batch that is too large for that.
    """

    whole: int
    parts: int

    def of(self, tokens: int) -> int:
        """The budget of a batch of so many tokens."""
        return self.whole if tokens <= self.whole else self.parts

    def limited(self, most: int) -> "TokenBudget":
        """The same, with micro-batches of at most so many tokens."""
        return TokenBudget(min(self.whole, most), min(self.parts, most))


def automatic_token_budget(
    model: nn.Module,
    examples: Sequence[Example],
    objective: Objective,
    device: torch.device,
    bfloat16: bool,
    extra_bytes: int = 0,
) -> TokenBudget:
    """Fixed on a CPU; on CUDA from what a trial pass over some 2,048 tokens takes.

    The trial leaves no gradient behind. Of its memory, the bfloat16 copies that autocast makes of
    weights do not grow with the tokens. An out-of-memory error later halves the budget. Not
    measured on a GPU yet.

    Args:
        extra_bytes: that a trained weight takes besides gradient and moments.
    """
    if device.type != "cuda":
        return TokenBudget(CPU_TOKENS, CPU_TOKENS)
    trial = micro_batches(sorted(examples, key=lambda e: -len(e.ids))[:256], PROBE_TOKENS)[0]
    packed = pack(trial, example_weights(trial, "example"), device, bfloat16)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16):
        loss = objective(model, packed)
    copies = cast_bytes(model) if bfloat16 else 0
    tokens = sum(len(item.ids) for item in trial)
    taken = torch.cuda.max_memory_allocated(device) - before
    a_token = max(taken - copies, taken / 10) / tokens
    loss.backward()
    model.zero_grad(set_to_none=True)
    del loss, packed
    torch.cuda.empty_cache()
    trained = trained_numbers(model)
    free = torch.cuda.mem_get_info(device)[0] - (MOMENT_BYTES + extra_bytes) * trained
    room = SHARE_OF_FREE * max(free, 0) - copies
    longest = max(len(item.ids) for item in examples)
    whole, parts = (
        min(MOST_TOKENS, max(longest, int(each / a_token)))
        for each in (room, room - GRADIENT_BYTES * trained)
    )
    log.info(
        "batches of up to %d tokens at once, of more in parts of %d: %.0f bytes a token",
        *(whole, parts, a_token),
    )
    return TokenBudget(whole, parts)


def cast_bytes(model: nn.Module) -> int:
    """Bytes of the bfloat16 copies that autocast makes of float32 linear layers' weights."""
    weights = {
        id(part.weight): part.weight for part in model.modules() if isinstance(part, nn.Linear)
    }
    return sum(
        2 * local(weight).numel() for weight in weights.values() if weight.dtype == torch.float32
    )


def trained_numbers(model: nn.Module) -> int:
    """Weights that this device trains; it may hold a share of each."""
    return sum(local(p).numel() for p in model.parameters() if p.requires_grad)


class Gradients:
    """Adds up gradients over micro-batches, which are made smaller if they are too much.

    Args:
        model: as it is called in training.
        objective: the loss.
        optimizer: where the gradients go.
        weighting: of the examples in an update.
        devices: that share the work.
        bfloat16: whether the forward pass works in it.
        budget: the same on all devices, which take part in each other's micro-batches.
    """

    def __init__(
        self,
        model,
        objective: Objective,
        optimizer: Optimizer,
        weighting: str,
        devices: Devices,
        bfloat16: bool,
        budget: TokenBudget,
    ) -> None:
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.weighting = weighting
        self.devices, self.bfloat16, self.budget = devices, bfloat16, budget

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
                tokens = self._tokens(batch)
                used = min(self.budget.of(tokens), tokens)
            self._halve(used, max(batch, key=lambda item: len(item.ids)), update)

    def _tokens(self, batch: Sequence[Example]) -> int:
        """Tokens of the largest share of a batch, if devices' shares are alike."""
        return -(-sum(len(item.ids) for item in batch) // self.devices.world)

    def accumulate(self, batch: Sequence[Example]) -> torch.Tensor:
        """Add up the gradient over the micro-batches; returns the loss of the whole batch."""
        devices, device = self.devices, self.devices.device
        weights = example_weights(batch, self.weighting)
        total = torch.zeros((), device=device)
        budget = self.budget.of(self._tokens(batch))
        parts = device_micro_batches(batch, budget, devices.rank, devices.world)
        for place, (part, counted) in enumerate(parts):
            packed = pack(part, weights, device, self.bfloat16)
            synchronise_gradients(self.model, place == len(parts) - 1)
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
                loss = self.objective(self.model, packed) * counted
            # Devices average their gradients, while the weights are parts of the whole batch.
            (loss * devices.world).backward()
            total += loss.detach()
            if len(parts) > 1:
                self.optimizer.collect()
        return devices.total(total)

    def _halve(self, used: int, longest: Example, update: int) -> None:
        """Halve the token budget after an out-of-memory error with micro-batches of ``used``."""
        self.optimizer.zero_grad()
        tokens = len(longest.ids)
        if used <= tokens:
            raise OutOfMemory(
                f"update {update} ran out of memory with micro-batches of {used} tokens "
                f"(longest example: {longest.example_id}, {tokens} tokens): lower max_length, "
                "shard the model (sharding: full), or train adapters (method lora)"
            )
        half = max(used // 2, tokens)
        self.budget = self.budget.limited(half)
        if self.devices.world > 1:
            # The others wait for this one's gradients: only a new start brings all together.
            raise OutOfMemory(
                f"update {update} ran out of memory on one of {self.devices.world} "
                f"devices with micro-batches of {used} tokens: start the job again, it goes on "
                f"from its saved state with {half}"
            )
        log.warning("out of memory: micro-batches of %d tokens from now on", half)
        if self.devices.device.type == "cuda":
            torch.cuda.empty_cache()


def peak_memory(device: torch.device) -> int:
    """Bytes: allocated on a CUDA device, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
