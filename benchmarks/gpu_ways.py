"""The section of ``gpu.py`` on ways of updates: is one faster, and does it learn the same?"""

from gpu_context import BATCH, Context, build, losses, trainer_of
from gpu_speed import adapted, free_memory

from ptft.training.updates import PLAIN, WAYS, Way

COMPARED, TIMED = 6, 20
LIMIT = 0.1  # so low a norm that gradients of random weights are clipped


def ways(context: Context) -> dict:
    """Updates in each way beside plain ones: how many times as fast, and their losses."""
    for texts in ("mnli", "long", "lora"):
        found = {PLAIN.name: _measure(context, texts, PLAIN)}
        for way in WAYS[1:]:
            if way.compiled and not context.cuda:
                found[way.name] = {"state": "needs CUDA"}
            else:
                found[way.name] = _beside(found[PLAIN.name], _measure(context, texts, way))
            context.note(**{texts: found})
    return {}


def _beside(plain: dict, other: dict) -> dict:
    """A way's results, compared with those of plain updates."""
    pairs = zip(plain["losses"], other["losses"], strict=True)
    return other | {
        "largest_loss_difference": max(abs(one - two) for one, two in pairs),
        "times_as_fast": other["updates_per_second"] / plain["updates_per_second"],
    }


def _measure(context: Context, texts: str, way: Way) -> dict:
    """Losses of the first updates, and updates a second of those after them.

    The same batch again and again: what prepares for its size has done so then.
    """
    free_memory(context)
    model = adapted(context) if texts == "lora" else build("olmo", context.device)
    examples = context.batches()["mnli" if texts == "lora" else texts][:BATCH]
    times = context.pick(TIMED, 2)
    visible = {"epochs": COMPARED + times, "lr": 1e-4, "max_grad_norm": LIMIT, "dtype": "bfloat16"}
    trainer = trainer_of(model, examples, context.device, way, **visible)
    seen = losses(trainer, COMPARED)
    per_update = context.seconds(lambda: losses(trainer, times)) / times
    return {"updates_per_second": 1 / per_update, "losses": seen}
