"""The section of ``gpu.py`` on options that are off: is one faster, and does it learn the same?"""

from typing import Any

import torch
from gpu_context import BATCH, Context, build, losses, trainer_of
from gpu_speed import free_memory

from ptft.training.methods import get_method
from ptft.training.methods.lora import LoraSettings

COMPARED, TIMED = 6, 20
LIMIT = 0.1  # so low a norm that gradients of random weights are clipped
GRAPHS = {"cuda_graphs": True}
MASTERS = {"optimizer": "adamw_masters"}
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "mnli": {
        "adamw_clip": {"optimizer": "adamw_clip"},
        "adamw_masters": MASTERS,
        "cuda_graphs": GRAPHS,
        "masters_and_graphs": GRAPHS | MASTERS,
    },
    "lora": {"cuda_graphs": GRAPHS},
    "long": {"adamw_masters": MASTERS},
}
"""By texts, and MNLI's with LoRA."""


def options(context: Context) -> dict:
    """Updates with each option beside those without: how many times as fast, and their losses."""
    for texts, ways in OPTIONS.items():
        found = {"usual": _measure(context, texts, {})}
        for name, changes in ways.items():
            needs = "cuda_graphs" in changes and not context.cuda
            found[name] = (
                {"state": "needs CUDA"}
                if needs
                else _beside(found["usual"], _measure(context, texts, changes))
            )
            context.note(**{texts: found})
    return {}


def _beside(usual: dict, other: dict) -> dict:
    """An option's results, compared with those without."""
    pairs = zip(usual["losses"], other["losses"], strict=True)
    return other | {
        "largest_loss_difference": max(abs(one - two) for one, two in pairs),
        "times_as_fast": other["updates_per_second"] / usual["updates_per_second"],
    }


def _measure(context: Context, texts: str, changes: dict[str, Any]) -> dict:
    """Losses of the first updates, and updates a second of those after them.

    The same batch again and again: what prepares for its size has done so then.
    """
    free_memory(context)
    model = build("olmo", context.device)
    if texts == "lora":
        method = get_method("lora")
        model = method.prepare(model, LoraSettings())
        method.lighten(model, torch.bfloat16)
    examples = context.batches()["mnli" if texts == "lora" else texts][:BATCH]
    times = context.pick(TIMED, 2)
    visible = {"epochs": COMPARED + times, "lr": 1e-4, "max_grad_norm": LIMIT, "dtype": "bfloat16"}
    trainer = trainer_of(model, examples, context.device, **visible, **changes)
    seen = losses(trainer, COMPARED)
    per_update = context.seconds(lambda: losses(trainer, times)) / times
    return {"updates_per_second": 1 / per_update, "losses": seen}
