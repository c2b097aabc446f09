"""Sections of ``gpu.py`` on speed: updates, the engine, compiled layers; and contestants."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from gpu_context import BATCH, Context, build, losses, trainer_of
from shapes import PAD

from ptft.inference.engine import Engine
from ptft.inference.forward import exact_head
from ptft.models.loading import LoadedModel, scoring_dtype, wrap_model
from ptft.prompts.encoding import Prompt
from ptft.training.examples import Example
from ptft.training.gradients import flops_per_token, utilisation
from ptft.training.loop import CHECK_EVERY_ON_CUDA, Trainer
from ptft.training.methods import LoraSettings, get_method
from ptft.training.packing import example_weights, pack
from ptft.training.remedies import Objective
from ptft.training.settings import TrainingSettings

WARM_UP, UPDATES, PARTS = 5, 20, 5
SHARE_OF_TIME = 0.2  # of a section, for the updates of one kind of text
MAX_NEW_TOKENS = 60


class Ids:
    """Stands in for a tokenizer where all is ids: a text is its ids as numbers."""

    eos_token_id, pad_token_id = None, PAD

    def decode(self, ids: Sequence[int], **_: object) -> str:
        return " ".join(str(one) for one in ids)


def updates(context: Context) -> dict:
    """Updates a second of OLMo-1B at three lengths, of LoRA and of Pythia-410m."""
    for name, examples in context.batches().items():
        context.note(**{name: _speed(build("olmo", context.device), examples, context)})
    short = context.batches()["mnli"]
    context.note(lora=_speed(adapted(context), short, context))
    return {"pythia_410m": _speed(build("neox", context.device), short, context)}


def adapted(context: Context) -> torch.nn.Module:
    """OLMo-1B with an adapter, its base in the precision that the program keeps it in."""
    method = get_method("lora")
    model = method.prepare(build("olmo", context.device), LoraSettings())
    if context.cuda:
        method.lighten(model, torch.bfloat16)
    return model


def _speed(
    model: torch.nn.Module, examples: list[Example], context: Context, parts: bool = True, **changes
) -> dict:
    """What updates take, and their parts."""
    free_memory(context)
    trainer = trainer_of(model, examples, context.device, **changes)
    first = context.seconds(lambda: losses(trainer, 1))
    losses(trainer, context.pick(WARM_UP, 1))
    until = time.monotonic() + SHARE_OF_TIME * max(context.left, 0)
    tokens, done, spent = trainer.seen["tokens"], 0, 0.0
    while done < context.pick(UPDATES, 2) and (not done or time.monotonic() < until):
        together = context.pick(CHECK_EVERY_ON_CUDA, 1)  # losses are read so often
        spent += context.seconds(lambda together=together: losses(trainer, together))
        done += together
    per_second = (trainer.seen["tokens"] - tokens) / spent
    found = {
        "first_update_seconds": first,
        "updates_per_second": done / spent,
        "tokens_an_update": (trainer.seen["tokens"] - tokens) / done,
        "flops_per_second": flops_per_token(model) * per_second,
        "utilisation": utilisation(model, per_second, context.device),
        "token_budget": trainer.gradients.budget.whole,
        "loss": trainer.curve[-1]["loss"],
    }
    if context.cuda:
        found["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    if parts:
        batch = examples[:BATCH]
        times = [_parts(trainer, batch, context) for _ in range(context.pick(PARTS, 1))]
        for name in times[0]:
            found[f"{name}_ms"] = 1e3 * statistics.median(row[name] for row in times)
    return found


def _parts(trainer: Trainer, batch: list[Example], context: Context) -> dict[str, float]:
    """Seconds of each part of an update, waiting for the device after each."""
    weights = example_weights(batch, "example")
    packed = pack(batch, weights, context.device, trainer.bfloat16)
    loss: list[torch.Tensor] = []

    def forward() -> None:
        with torch.autocast(context.device.type, torch.bfloat16, enabled=trainer.bfloat16):
            loss.append(Objective(TrainingSettings())(trainer.model, packed))

    taken = {
        "forward": context.seconds(forward),
        "backward": context.seconds(lambda: loss[0].backward()),
        "clip": context.seconds(
            lambda: torch.nn.utils.clip_grad_norm_(trainer.trained.values(), 1.0)
        ),
        "adamw": context.seconds(trainer.optimizer.adamw.step),
    }
    trainer.optimizer.zero_grad()
    return taken


def free_memory(context: Context) -> None:
    """Give back what the last measurement held."""
    gc.collect()
    if context.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _ready(context: Context) -> LoadedModel:
    model = build("olmo", context.device, "sdpa").to(scoring_dtype(context.device))
    return wrap_model(model, Ids())


def engine(context: Context) -> dict:
    """Examples a second, and how many answers are those of each prompt alone."""
    loaded = _ready(context)
    for name, prompts in context.texts.prompts.items():
        answer = _answers(Engine(loaded), context)
        answer(prompts[:2])  # what runs for the first time is slower
        few = prompts[: context.pick(64, 3)]
        rate = len(few) / context.seconds(lambda answer=answer, few=few: answer(few))
        # No more than a quarter of the section's time.
        rows = prompts[: max(len(few), min(len(prompts), int(rate * context.left / 4)))]
        answers: list = []
        answer = _answers(Engine(loaded), context)
        seconds = context.seconds(
            lambda answer=answer, rows=rows, answers=answers: answers.extend(answer(rows))
        )
        checked = rows[: context.pick(16, 2)]
        alone = [one_answer(loaded, prompt, context) for prompt in checked]
        same = [one == other for one, other in zip(alone, answers, strict=False)]
        found = {
            "examples": len(rows),
            "examples_per_second": len(rows) / seconds,
            "same_as_alone": sum(same) / len(same),
        }
        context.note(**{name: found})
    return {}


def _answers(engine: Engine, context: Context) -> Callable[[list[Prompt]], list]:
    """The engine's answers: the likeliest continuation, or a text where there is none to score."""

    def answer(prompts: list[Prompt]) -> list:
        if not prompts[0].continuations:
            made = engine.generate(prompts, context.pick(MAX_NEW_TOKENS, 4), ())
            return [answer.text for answer in made]
        return [max(range(len(row)), key=row.__getitem__) for row in engine.score(prompts)]

    return answer


@torch.inference_mode()
def one_answer(loaded: LoadedModel, prompt: Prompt, context: Context) -> int | str:
    """The same with the whole prompt alone in a batch."""
    if not prompt.continuations:
        ids = torch.tensor([prompt.context], device=loaded.device)
        with exact_head(loaded.model):
            new = loaded.model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=PAD,
                max_new_tokens=context.pick(MAX_NEW_TOKENS, 4),
            )  # fmt: skip
        return loaded.tokenizer.decode(new[0, len(prompt.context) :].tolist())
    scores = []
    for continuation in prompt.continuations:
        ids = torch.tensor([prompt.context + continuation[:-1]], device=loaded.device)
        with exact_head(loaded.model):
            logits = loaded.model(ids, use_cache=False, logits_to_keep=len(continuation)).logits[0]
        targets = torch.tensor(continuation, device=loaded.device)[:, None]
        scores.append(logits.log_softmax(-1).gather(1, targets).sum().item())
    return scores.index(max(scores))


def padded_trainer(context: Context) -> dict:
    """transformers' Trainer with padding on the short and middle texts, at its micro-batches."""
    from training import time_padded

    for name in ("mnli", "xsum"):
        found = {}
        for micro in context.pick((1, 8), (8,)):
            warm, count = context.pick((WARM_UP, UPDATES), (1, 1))
            chosen = context.batches()[name][: BATCH * (warm + count)]
            free_memory(context)
            took = time_padded(chosen, micro, warm, context.device)
            found[f"padded_x{micro}"] = {"updates_per_second": (len(chosen) // BATCH - warm)
                                         / took.wall}  # fmt: skip
            context.note(**{name: found})
    return {}


def one_prompt_at_a_time(context: Context) -> dict:
    """Evaluation without sharing or batches: the whole prompt for each answer."""
    loaded = _ready(context)
    for name, prompts in context.texts.prompts.items():
        one_answer(loaded, prompts[0], context)
        until = time.monotonic() + context.left / 4
        done, spent = 0, 0.0
        while done < len(prompts) and (not done or time.monotonic() < until):
            spent += context.seconds(
                lambda prompt=prompts[done]: one_answer(loaded, prompt, context)
            )
            done += 1
        found = {"examples": done, "examples_per_second": done / spent}
        context.note(**{name: found})
    return {}
