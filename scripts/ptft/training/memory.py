"""How many tokens a micro-batch may hold, and how much memory a run takes."""

import logging
import resource
from collections.abc import Sequence

import torch
from torch import nn

from ptft.training.batches import micro_batches
from ptft.training.devices import local
from ptft.training.examples import Example
from ptft.training.loss import Objective
from ptft.training.packing import example_weights, pack

log = logging.getLogger(__name__)

CPU_TOKENS = 4096
"""On a CPU larger micro-batches take more memory and no less time."""
PROBE_TOKENS = 2048
MOST_TOKENS = 65536
SHARE_OF_FREE = 0.8
OPTIMIZER_BYTES = 12
"""AdamW's two moments and the gradient of a float32 parameter."""


def automatic_token_budget(
    model: nn.Module,
    examples: Sequence[Example],
    objective: Objective,
    device: torch.device,
    bfloat16: bool,
    extra_bytes: int = 0,
) -> int:
    """Tokens a micro-batch may hold: fixed on a CPU, on CUDA from what a trial pass takes.

    The trial runs forward and backward over some 2,048 tokens of the longest examples and leaves
    no gradient behind. Not measured on a GPU yet; an out-of-memory error later halves the budget.
    """
    if device.type != "cuda":
        return CPU_TOKENS
    trial = micro_batches(sorted(examples, key=lambda e: -len(e.ids))[:256], PROBE_TOKENS)[0]
    packed = pack(trial, example_weights(trial, "example"), device, bfloat16)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16):
        loss = objective(model, packed)
    activations = torch.cuda.max_memory_allocated(device) - before
    loss.backward()
    model.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(device)[0] - optimizer_bytes(model, extra_bytes)
    tokens = sum(len(item.ids) for item in trial)
    longest = max(len(item.ids) for item in examples)
    fits = int(SHARE_OF_FREE * max(free, 0) / activations * tokens)
    budget = min(MOST_TOKENS, max(longest, fits))
    log.info("micro-batches of %d tokens: %.0f bytes a token", budget, activations / tokens)
    return budget


def optimizer_bytes(model: nn.Module, extra: int = 0) -> int:
    """What gradients and AdamW will take of this device, which may hold a share of each weight.

    Args:
        extra: bytes a trained weight takes besides.
    """
    trained = sum(local(p).numel() for p in model.parameters() if p.requires_grad)
    return (OPTIMIZER_BYTES + extra) * trained


def peak_memory(device: torch.device) -> int:
    """Bytes: allocated on a CUDA device, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bfloat16 peak of a device, from its vendor's data sheet (SXM form)."""


def flops_per_token(model: nn.Module) -> int:
    """Operations that training one token takes: 6 a trained weight, 4 a frozen one.

    Weights before the first that is trained take 2: no gradient goes back to them. Kaplan et al.
    2020 (arXiv 2001.08361). Left out: embedding and output layer (which runs for the few learned
    tokens only) and attention over positions.
    """
    tables = {
        id(layer.weight)
        for layer in (model.get_input_embeddings(), model.get_output_embeddings())
        if layer is not None
    }
    operations, reached = 0, False
    for weight in model.parameters():
        if id(weight) not in tables:
            reached |= weight.requires_grad
            operations += (6 if weight.requires_grad else 4 if reached else 2) * weight.numel()
    return operations


def utilisation(model: nn.Module, tokens_per_second: float, device: torch.device) -> float | None:
    """Model FLOPs utilisation (0 to 1); None where the device's peak is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    peaks = [peak for part, peak in PEAK_FLOPS.items() if part in name]
    return flops_per_token(model) * tokens_per_second / peaks[0] if peaks else None
