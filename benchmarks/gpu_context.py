"""What the sections of ``gpu.py`` share: their texts, models, time and clock."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from shapes import OLMO_1B, PAD, PYTHIA_410M, TINY, VOCABULARY
from training_texts import read_prompts, read_tokens

from ptft.models.loading import avoid_cudnn_attention
from ptft.prompts.encoding import Prompt
from ptft.training.devices import Devices
from ptft.training.examples import Example
from ptft.training.loop import Run, Trainer
from ptft.training.packing import NAME
from ptft.training.settings import TrainingSettings
from ptft.training.updates import PLAIN, Way

BATCH = 8
LONG = 625  # tokens of an example of a long run: 5,000 a batch
SMALL_TOKENS = 40  # of an example or prompt in the small shape
SMALL_VOCABULARY = 512
MEAN_TOKENS = {"mnli": 55, "paws": 68, "socialiqa": 41, "xsum": 395}
# Of prompts with 4 shots: tokens of the shots, of the question, of each of so many answers.
PROMPT_TOKENS = {"mnli": (220, 50, 1, 6), "hellaswag": (400, 60, 25, 4), "xsum": (1500, 380, 0, 0)}


class NeedsCuda(Exception):
    """A section, or a part of one, has nothing to measure on a CPU."""


@dataclass(frozen=True)
class Texts:
    """Examples to train on and prompts to evaluate on, by task, as token ids."""

    examples: Mapping[str, list[Example]]
    prompts: Mapping[str, list[Prompt]]


def read_texts(path: Path) -> Texts:
    """What ``training.py --write-tokens`` wrote."""
    return Texts(read_tokens(path), read_prompts(path))


def made_up_texts() -> Texts:
    """Random ids of the real texts' mean lengths: speed depends on little else."""
    rng = np.random.default_rng(0)

    def ids(count: int) -> np.ndarray:
        return rng.integers(100, 50000, count)

    examples = {
        name: [
            Example(str(number), ids(length), np.arange(length) >= length - max(2, length // 16))
            for number, length in enumerate(rng.integers(mean // 2, mean * 3 // 2, 400).tolist())
        ]
        for name, mean in MEAN_TOKENS.items()
    }
    prompts = {}
    for name, (shared, own, answer, answers) in PROMPT_TOKENS.items():
        shots = ids(shared).tolist()
        prompts[name] = [
            Prompt(shots + ids(own).tolist(), [ids(answer).tolist() for _ in range(answers)], 4,
                   False)
            for _ in range(512)
        ]  # fmt: skip
    return Texts(examples, prompts)


def small(texts: Texts) -> Texts:
    """A few texts, cut to what a CPU does in a second."""

    def few(ids: Sequence[int]) -> np.ndarray:
        return np.asarray(ids, dtype=np.int64) % SMALL_VOCABULARY

    examples = {}
    for name, items in texts.examples.items():
        cut = [(item.ids[-SMALL_TOKENS:], item.loss_mask[-SMALL_TOKENS:]) for item in items[:16]]
        examples[name] = [
            Example(str(number), few(ids), mask & (np.arange(len(ids)) > 0))
            for number, (ids, mask) in enumerate(cut)
        ]
    half = SMALL_TOKENS // 2
    prompts = {}
    for name, asked in texts.prompts.items():
        prompts[name] = [
            Prompt(few(prompt.context[:half] + prompt.context[-half:]).tolist(),
                   [few(ids[:half]).tolist() for ids in prompt.continuations], prompt.shots, True)
            for prompt in asked[:6]
        ]  # fmt: skip
    return Texts(examples, prompts)


@dataclass(frozen=True)
class Context:
    """A section's surroundings.

    note: puts results on disk at once. ends: when its time is up, by ``time.monotonic``.
    """

    device: torch.device
    texts: Texts
    note: Callable[..., None]
    ends: float

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Seconds that are left to the section."""
        return self.ends - time.monotonic()

    def need_cuda(self) -> None:
        """Raise :class:`NeedsCuda` on a CPU."""
        if not self.cuda:
            raise NeedsCuda

    def pick(self, large: Any, little: Any) -> Any:
        """One value for a GPU, another for the small shape on a CPU."""
        return large if self.cuda else little

    def seconds(self, run: Callable[[], Any], times: int = 1) -> float:
        """Seconds that a call takes, the mean of several, with the device's work done."""
        self.synchronise()
        begun = time.perf_counter()
        for _ in range(times):
            run()
        self.synchronise()
        return (time.perf_counter() - begun) / times

    def synchronise(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()

    def batches(self) -> dict[str, list[Example]]:
        """Examples of short, middle and long texts: 440, 3,200 and 5,000 tokens in a batch."""
        long = self.pick(LONG, SMALL_TOKENS)
        joined = np.concatenate([item.ids for item in self.texts.examples["xsum"]])
        pieces = [joined[at : at + long] for at in range(0, len(joined) - long, long)]
        learned = np.arange(long) >= long // 2
        return {
            "mnli": self.texts.examples["mnli"][:400],
            "xsum": self.texts.examples["xsum"][:400],
            "long": [Example(str(at), ids, learned) for at, ids in enumerate(pieces[:400])],
        }


def build(
    kind: str, device: torch.device, attention: str = NAME, **changes: Any
) -> transformers.PreTrainedModel:
    """A model with random weights in float32, the same at every call.

    Args:
        kind: ``olmo``, ``llama`` or ``neox``; on CUDA of OLMo-1B's or Pythia-410m's size.
        changes: to the configuration.
    """
    avoid_cudnn_attention()
    torch.manual_seed(0)
    name = {"olmo": "Olmo", "llama": "Llama", "neox": "GPTNeoX"}[kind]
    shape = TINY
    if device.type == "cuda":
        shape = PYTHIA_410M if kind == "neox" else OLMO_1B
    common = {
        "vocab_size": VOCABULARY if device.type == "cuda" else SMALL_VOCABULARY,
        "max_position_embeddings": 2048,
        "bos_token_id": None,
        "eos_token_id": None,  # so that all generate to the end
        "pad_token_id": PAD,
        "tie_word_embeddings": kind == "olmo",
        "attn_implementation": attention,
    }
    config = getattr(transformers, f"{name}Config")(**(common | shape | changes))
    with device:
        return getattr(transformers, f"{name}ForCausalLM")(config)


def trainer_of(
    model: torch.nn.Module,
    examples: list[Example],
    device: torch.device,
    way: Way = PLAIN,
    **changes: Any,
) -> Trainer:
    """This project's loop, ready for any number of updates."""
    settings = TrainingSettings(**({"epochs": 10_000, "batch_size": BATCH, "lr": 2e-6} | changes))
    trainer = Trainer(Run(model, examples, [], settings, settings.lr, 0, Devices(device), way=way))
    trainer.model.train()
    return trainer


def losses(trainer: Trainer, updates: int) -> list[float]:
    """Do some updates; their losses."""
    for _ in range(updates):
        trainer.update()
    trainer.readings.read()
    return [row["loss"] for row in trainer.curve[-updates:]]
