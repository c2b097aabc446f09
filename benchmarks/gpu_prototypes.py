"""The section of ``gpu.py`` on what the library does not do: is it worth being built?

Each prototype does updates of the same short texts as the loop, and says how far its losses are
from the loop's.
"""

import math
import time
from collections.abc import Callable

import torch
from gpu_context import BATCH, Context, build, trainer_of
from gpu_speed import free_memory
from torch import nn

from ptft.training.loop import Trainer
from ptft.training.loss import Objective
from ptft.training.packing import PackedBatch, example_weights, pack

WARM_UP, UPDATES = 3, 15
LIMIT = 0.1  # so low a norm that gradients of random weights are clipped


def prototypes(context: Context) -> dict:
    """The loop's own way; clip inside AdamW; bfloat16 weights with masters; a captured graph."""
    usual = _measure(_usual, context)
    context.note(usual=usual)
    for name, prepare in (("grad_scale", _clip_in_adamw), ("masters", _masters)):
        context.note(**{name: _against(usual, _measure(prepare, context))})
    if not context.cuda:
        return {"captured_graph": "needs CUDA"}
    return {"captured_graph": _captured(context)}


def _batch(trainer: Trainer, context: Context) -> PackedBatch:
    chosen = list(trainer.run.train[:BATCH])
    return pack(chosen, example_weights(chosen, "example"), context.device, trainer.bfloat16)


def _loss(trainer: Trainer, packed: PackedBatch, cache: bool = True) -> torch.Tensor:
    kind = packed.input_ids.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=trainer.bfloat16, cache_enabled=cache):
        return Objective()(trainer.model, packed)


def _measure(
    prepare: Callable[[Trainer, PackedBatch], Callable[[], torch.Tensor]], context: Context
) -> dict:
    """Updates a second and losses of one way to do an update, on the same batch again and again."""
    free_memory(context)
    examples = context.batches()["mnli"]
    trainer = trainer_of(build("olmo", context.device), examples, context.device, dtype="bfloat16")
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1e-4  # visible after a few updates
    update = prepare(trainer, _batch(trainer, context))
    seen = [update() for _ in range(context.pick(WARM_UP, 2))]
    times = context.pick(UPDATES, 2)
    context.synchronise()
    begun = time.perf_counter()
    seen += [update() for _ in range(times)]
    context.synchronise()
    taken = (time.perf_counter() - begun) / times
    return {"updates_per_second": 1 / taken, "losses": torch.stack(seen).tolist()}


def _against(usual: dict, other: dict) -> dict:
    """A prototype's results beside the usual ones."""
    pairs = zip(usual["losses"], other["losses"], strict=True)
    return other | {
        "times_as_fast": other["updates_per_second"] / usual["updates_per_second"],
        "largest_loss_difference": max(abs(one - two) for one, two in pairs),
    }


def _usual(trainer: Trainer, packed: PackedBatch) -> Callable[[], torch.Tensor]:
    """As the loop does it."""

    def update() -> torch.Tensor:
        loss = _loss(trainer, packed)
        loss.backward()
        nn.utils.clip_grad_norm_(trainer.trained.values(), LIMIT)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return update


def _clip_in_adamw(trainer: Trainer, packed: PackedBatch) -> Callable[[], torch.Tensor]:
    """Fused AdamW divides by ``grad_scale`` as it reads: no pass over the gradients to clip them.

    What it does not spare: it writes the scaled gradients back.
    """

    def update() -> torch.Tensor:
        loss = _loss(trainer, packed)
        loss.backward()
        norm = nn.utils.get_total_norm([p.grad for p in trainer.trained.values()])
        trainer.optimizer.grad_scale = ((norm + 1e-6) / LIMIT).clamp(min=1)
        trainer.optimizer.found_inf = torch.zeros((), device=norm.device)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return update


def _masters(trainer: Trainer, packed: PackedBatch) -> Callable[[], torch.Tensor]:
    """Linear layers hold bfloat16 weights; AdamW works on float32 masters, then they are copied.

    One kernel that writes both would move less; this is what torch has.
    """
    tied = trainer.model.get_output_embeddings()
    linear = {
        id(part.weight)
        for part in trainer.model.modules()
        if isinstance(part, nn.Linear) and part is not tied
    }
    rate = trainer.optimizer.param_groups[0]["lr"]
    weights = list(trainer.trained.values())
    masters = [nn.Parameter(p.detach().clone()) if id(p) in linear else p for p in weights]
    working = [p for p in weights if id(p) in linear]
    sources = [m for m, p in zip(masters, weights, strict=True) if id(p) in linear]
    for weight in working:
        weight.data = weight.data.bfloat16()
    optimizer = torch.optim.AdamW(masters, lr=rate, weight_decay=0.0, fused=True)

    def update() -> torch.Tensor:
        loss = _loss(trainer, packed)
        loss.backward()
        for master, weight in zip(sources, working, strict=True):
            master.grad = weight.grad.float()
            weight.grad = None
        nn.utils.clip_grad_norm_(masters, LIMIT)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(working, sources)
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return update


def _captured(context: Context) -> dict:
    """Forward and backward of one batch as a CUDA graph: time, and gradients against eager ones."""
    free_memory(context)
    trainer = trainer_of(build("olmo", context.device), context.batches()["mnli"], context.device)
    packed = _batch(trainer, context)

    def both() -> torch.Tensor:
        trainer.model.zero_grad(set_to_none=False)
        loss = _loss(trainer, packed, cache=False)
        loss.backward()
        return loss

    def norm() -> float:
        return nn.utils.get_total_norm([p.grad for p in trainer.trained.values()]).item()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            both()
    torch.cuda.current_stream().wait_stream(aside)
    eager, before = context.seconds(both, UPDATES), norm()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        both()
    replayed = context.seconds(graph.replay, UPDATES)
    return {
        "eager_ms": 1e3 * eager,
        "replayed_ms": 1e3 * replayed,
        "times_as_fast": eager / replayed,
        "same_gradient_norm": math.isclose(before, norm(), rel_tol=1e-3),
    }
