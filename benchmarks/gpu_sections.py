"""The sections of ``gpu.py``: is it right, and how fast is it?"""

import gc
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from shapes import OLMO_1B, PAD, PYTHIA_410M, TINY, made_up_model

from ptft.inference.agreement import PlainEngine
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model
from ptft.prompts.encoding import Prompt
from ptft.runtime.gpus import driver_version
from ptft.training.devices import Devices
from ptft.training.examples import Example
from ptft.training.gradients import TokenBudget
from ptft.training.loop import Run, Trainer
from ptft.training.methods import get_method
from ptft.training.packing import NAME, example_weights, pack
from ptft.training.remedies import Objective
from ptft.training.settings import TrainingSettings
from ptft.training.state import Interrupted, StateFolder, StopRequest
from ptft.training.updates import WAYS, Way, choose_way

CUDA = torch.device("cuda")
BATCH = 8
LENGTHS = {"mnli": 55, "xsum": 395, "long": 800}
"""mean tokens of an example under OLMo's tokenizer; TÜLU's conversations are the long ones"""
PROMPTS = {"mnli": (220, 50, 1, 6), "hellaswag": (400, 60, 25, 4), "xsum": (1500, 380, 0, 0)}
"""of prompts with 4 shots: tokens of the shots, of the question, of each of so many answers"""
NEW_TOKENS, NEW_SHAPES = 60, 20


@dataclass(frozen=True)
class Context:
    """A section's surroundings.

    note: puts results on disk at once. ends: when its time is up, by ``time.monotonic``. small:
    tiny models and few texts.
    """

    note: Callable[..., None]
    ends: float
    small: bool = False

    def pick(self, large: Any, little: Any) -> Any:
        """One value, or another in the small shape."""
        return little if self.small else large

    @property
    def left(self) -> float:
        """Seconds that are left to the section."""
        return self.ends - time.monotonic()


def seconds(run: Callable[[], Any], times: int = 1) -> float:
    """Seconds that a call takes, the mean of several, with the device's work done."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(times):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - begun) / times


def build(kind: str, small: bool, attention: str = NAME, **changes: Any) -> torch.nn.Module:
    """A made-up model: ``Olmo`` and ``Llama`` of OLMo-1B's size, ``GPTNeoX`` of Pythia-410m's."""
    shape = TINY if small else PYTHIA_410M if kind == "GPTNeoX" else OLMO_1B
    return made_up_model(kind, shape, attention, CUDA, **changes)


def examples_of(task: str, count: int = 400) -> list[Example]:
    """Random ids, half to one and a half times as long as the task's mean."""
    rng = np.random.default_rng(0)
    mean = LENGTHS[task]
    return [
        Example(str(number), rng.integers(100, 50000, length),
                np.arange(length) >= length - max(2, length // (2 if task == "long" else 16)))
        for number, length in enumerate(rng.integers(mean // 2, mean * 3 // 2, count).tolist())
    ]  # fmt: skip


def trainer_of(
    small: bool, kind: str, method: str, task: str, way: Way = WAYS[0], **changes: Any
) -> Trainer:
    """This project's loop as a fine-tuning job has it, for a run of three epochs of 6,000."""
    chosen = get_method(method)
    settings = chosen.Settings(**({"epochs": 3, "batch_size": BATCH, "lr": 2e-6} | changes))
    model = chosen.prepare(build(kind, small), settings)
    chosen.lighten(model, torch.bfloat16)
    examples = examples_of(task, 6000 if not small else 64)
    trainer = Trainer(Run(model, examples, [], settings, 0, Devices(CUDA), way=way))
    trainer.model.train()
    return trainer


def losses(trainer: Trainer, updates: int) -> list[float]:
    """Do some updates; their losses."""
    for _ in range(updates):
        trainer.update()
    trainer.readings.read()
    return [row["loss"] for row in trainer.curve[-updates:]]


def free_memory() -> None:
    """Give back what the last measurement held."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def machine(context: Context) -> dict:
    """Versions, copy bandwidth, and a large matrix product in bfloat16."""
    size = context.pick(8192, 256)
    context.note(
        device=torch.cuda.get_device_name(), driver=driver_version(), torch=torch.__version__,
        cuda=torch.version.cuda, transformers=transformers.__version__,
        capability=list(torch.cuda.get_device_capability()),
        memory_gib=torch.cuda.mem_get_info()[1] / 2**30,
    )  # fmt: skip
    source = torch.empty(16 * size * size, device=CUDA)
    target = torch.empty_like(source)
    one = torch.randn(size, size, device=CUDA, dtype=torch.bfloat16)
    target.copy_(source), one @ one  # both warm
    return {
        "copy_bytes_per_second": 2 * source.nbytes / seconds(lambda: target.copy_(source), 10),
        "bf16_flops": 2 * size**3 / seconds(lambda: one @ one, 10),
    }


def packed_attention(context: Context) -> dict:
    """Loss and gradients of packed bfloat16 against float32 rectangles."""
    kinds = {
        "olmo": ("Olmo", {}),
        "llama_gqa": ("Llama", {"num_key_value_heads": 2}),
        "neox_64": ("GPTNeoX", {"hidden_size": 256, "num_attention_heads": 4}),
        "neox_256": ("GPTNeoX", {"hidden_size": 512, "num_attention_heads": 2}),
    }
    for name, (kind, changes) in kinds.items():
        model = build(kind, context.small, num_hidden_layers=2, **changes)
        context.note(**{name: _compare_precisions(model)})
    return {}


def _compare_precisions(model: torch.nn.Module) -> dict:
    """How far loss and gradients of the packed pass are from those in float32."""
    batch = examples_of("mnli", BATCH)
    results = []
    for bfloat16 in (False, True):
        packed = pack(batch, example_weights(batch, "example"), CUDA, bfloat16)
        with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16):
            loss = Objective(TrainingSettings())(model, packed)
        loss.backward()
        gradients = [p.grad.double().flatten() for p in model.parameters() if p.grad is not None]
        results.append((loss.item(), gradients))
        model.zero_grad(set_to_none=True)
    (exact, slow), (loss, fast) = results
    cosines = [F.cosine_similarity(one, other, 0) for one, other in zip(slow, fast, strict=True)]
    return {
        "relative_loss_difference": abs(loss - exact) / abs(exact),
        "least_gradient_cosine": torch.stack(cosines).min().item(),
    }


def updates(context: Context) -> dict:
    """Findings of ``updates: auto``: each way's speed, losses and memory, and which it takes."""
    runs = {
        "olmo_mnli": ("Olmo", "full", "mnli"), "olmo_long": ("Olmo", "full", "long"),
        "olmo_lora": ("Olmo", "lora", "mnli"), "olmo_xsum": ("Olmo", "full", "xsum"),
        "pythia_mnli": ("GPTNeoX", "full", "mnli"),
    }  # fmt: skip
    for name, asked in runs.items():
        free_memory()
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "ways.json"
            choose_way(WAYS, record, partial(trainer_of, context.small, *asked))
            found = json.loads(record.read_text())
        context.note(**{name: found})
    return {}


class Ids:
    """Stands in for a tokenizer where all is ids: a text is its ids as numbers."""

    eos_token_id, pad_token_id, chat_template = None, PAD, None

    def decode(self, ids: Sequence[int], **_: object) -> str:
        return " ".join(str(one) for one in ids)


def prompts_of(task: str, count: int = 2000) -> list[Prompt]:
    """Random ids behind the same shots, half to one and a half times as long as the mean."""
    rng = np.random.default_rng(0)
    shared, own, answer, answers = PROMPTS[task]

    def ids(length: int) -> list[int]:
        return rng.integers(100, 50000, length).tolist()

    shots = ids(shared)
    return [
        Prompt(shots + ids(length), [ids(answer) for _ in range(answers)], 4, False)
        for length in rng.integers(own // 2, own * 3 // 2, count).tolist()
    ]


def engine(context: Context) -> dict:
    """Examples a second, and how many answers are those of plain transformers, one at a time."""
    model = build("Olmo", context.small, "sdpa").to(torch.bfloat16)
    loaded = wrap_model(model, Ids())
    for task in PROMPTS:
        prompts = prompts_of(task, context.pick(2000, 4))
        answer = partial(_answers, Engine(loaded), context.pick(NEW_TOKENS, 3))
        answer(prompts[:2])  # what runs for the first time is slower
        few = prompts[: context.pick(64, 4)]
        rate = len(few) / seconds(lambda answer=answer, few=few: answer(few))
        # No more than a quarter of the section's time.
        rows = prompts[: max(len(few), min(len(prompts), int(rate * context.left / 4)))]
        answers: list = []
        taken = seconds(lambda: answers.extend(answer(rows)))  # noqa: B023  called at once
        checked = rows[: context.pick(16, 2)]
        alone = _answers(PlainEngine(loaded), context.pick(NEW_TOKENS, 3), checked)
        same = [one == other for one, other in zip(alone, answers, strict=False)]
        found = {"examples": len(rows), "examples_per_second": len(rows) / taken}
        context.note(**{task: found | {"same_as_alone": sum(same) / len(same)}})
    return {}


def _answers(engine: Engine, new_tokens: int, prompts: list[Prompt]) -> list:
    """The likeliest continuation of each, or a text where there is none to score."""
    if not prompts[0].continuations:
        return [made.text for made in engine.generate(prompts, new_tokens, ())]
    return [max(range(len(row)), key=row.__getitem__) for row in engine.score(prompts)]


def new_shapes(context: Context) -> dict:
    """The first call of attention at each of 20 lengths, with and without cuDNN."""
    found = {}
    for name, enabled in (("without_cudnn", False), ("with_cudnn", True)):
        torch.backends.cuda.enable_cudnn_sdp(enabled)
        times = []
        for length in range(301, 302 + 17 * NEW_SHAPES, 17):  # the libraries load with the first
            one = torch.randn(4, 16, length, 128, device=CUDA, dtype=torch.bfloat16)
            attend = partial(F.scaled_dot_product_attention, one, one, one, is_causal=True)
            times.append(seconds(attend))
        found[name] = {
            "mean_new_shape_ms": 1e3 * sum(times[1:]) / NEW_SHAPES,
            "longest_ms": 1e3 * max(times[1:]),
        }
        context.note(**found)
    return {}


def survival(context: Context) -> dict:
    """A full memory, SIGTERM, and going on from the state that it left."""
    context.note(out_of_memory=_out_of_memory(context.small))
    make = partial(trainer_of, context.small, "Olmo", "full", "mnli")
    with tempfile.TemporaryDirectory() as folder:
        state = StateFolder(Path(folder), "gpu.py")
        first = make()
        begun = time.perf_counter()
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                first.train(state, stop)
            except Interrupted as error:
                context.note(
                    sigterm=str(error),
                    update_and_save_seconds=time.perf_counter() - begun,
                    state_gib=state.file.stat().st_size / 2**30,
                )
        expected = losses(first, 2)
        del first
        again = make()
        taken = seconds(lambda: again._resume(state))
        return {
            "resume_seconds": taken,
            "losses_undisturbed": expected,
            "losses_resumed": losses(again, 2),
        }


def _out_of_memory(small: bool) -> dict:
    """An update that runs out of memory and goes on with half of the tokens.

    Of adapters, whose gradients are small. The limit is between what a batch takes at once and what
    the same batch takes in two parts.
    """
    whole = BATCH * LENGTHS["long"] * 2
    trainer = trainer_of(small, "Olmo", "lora", "long", token_budget=whole)
    losses(trainer, 1)  # the optimizer's moments are there
    peaks = []
    for tokens in (whole, LENGTHS["long"] * BATCH // 2):
        trainer.gradients.budget, trainer.step = TokenBudget(tokens, tokens), 0
        free_memory()
        losses(trainer, 1)
        peaks.append(torch.cuda.max_memory_allocated())
    trainer.gradients.budget, trainer.step = TokenBudget(whole, whole), 0
    free_memory()
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(sum(peaks) / 2 / total)
    try:
        found = {"loss": losses(trainer, 1)[0], "tokens_after": trainer.gradients.budget.whole}
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return {"tokens_before": whole, "peaks_gib": [peak / 2**30 for peak in peaks]} | found
