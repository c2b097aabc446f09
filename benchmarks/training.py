"""Training throughput: this project's loop against transformers' Trainer with padding.

Same model, same examples in the same order, same number of updates of 8 examples; completion-only
loss, AdamW, clipping at 1; float32 on a CPU, bfloat16 under autocast on a CUDA device. The texts
are the real training sets of MNLI, PAWS, SocialIQa (question generation) and XSum.

    python benchmarks/training.py                    # a table, and benchmarks/results/*.json
    python benchmarks/training.py --model FOLDER     # with a real model besides

A padded contestant is `padded xK`: micro-batches of K examples, 8/K of them accumulated. `padded
x1` is how the paper's release trained.
"""

import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from contest import Clock, Contest, Subject
from texts import default_cell, examples
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from ptft.runtime.programs import program
from ptft.training.devices import Devices
from ptft.training.examples import Example, completion_examples, epoch_order
from ptft.training.loop import Run
from ptft.training.loop import Trainer as PackedTrainer
from ptft.training.packing import NAME as PACKED_ATTENTION
from ptft.training.settings import TrainingSettings

BATCH, MAX_LENGTH = 8, 2048
TASKS = {
    "mnli": "mnli_matched", "paws": "paws", "socialiqa": "socialiqa_released", "xsum": "xsum",
}  # fmt: skip
"""task -> dataset"""
UPDATES = {
    "cpu": {"mnli": 8, "paws": 6, "socialiqa": 8, "xsum": 2},  # some 4,000 to 8,000 tokens each
    "cuda": dict.fromkeys(TASKS, 20),
}
WARMUP = {"cpu": 1, "cuda": 10}
"""updates before the clock starts"""


class Timer(TrainerCallback):
    """Notes the time before the first measured update and after the last."""

    def __init__(self, device: torch.device) -> None:
        self.warmup, self.device = WARMUP[device.type], device

    def on_step_end(self, args, state, control, **_) -> None:
        if state.global_step in (self.warmup, state.max_steps):
            self.ended = Clock.now(self.device)
            if state.global_step == self.warmup:
                self.begun = self.ended


class InOrder(Trainer):
    """transformers' Trainer on its data in the order given, as all contestants."""

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def pad(items: list[dict]) -> dict[str, torch.Tensor]:
    """Pad to the longest example of a micro-batch, on the right."""
    width = max(len(item["input_ids"]) for item in items)
    fill = {"input_ids": 1, "labels": -100, "attention_mask": 0}
    return {
        key: torch.tensor([item[key] + [value] * (width - len(item[key])) for item in items])
        for key, value in fill.items()
    }


def time_padded(
    subject: Subject, examples: list[Example], micro: int, device: torch.device
) -> Clock:
    """Time of all updates after the warm-up with transformers' Trainer."""
    rows = [
        {
            "input_ids": item.ids.tolist(),
            "labels": np.where(item.loss_mask, item.ids, -100).tolist(),
            "attention_mask": [1] * len(item.ids),
        }
        for item in examples
    ]
    timer = Timer(device)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=micro, gradient_accumulation_steps=BATCH // micro,
            num_train_epochs=1, learning_rate=2e-6, warmup_steps=0, optim="adamw_torch_fused",
            bf16=device.type == "cuda", use_cpu=device.type == "cpu", report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, max_grad_norm=1.0,
        )  # fmt: skip
        trainer = InOrder(
            subject.model(device, "sdpa"), arguments, train_dataset=rows, data_collator=pad,
            callbacks=[timer],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return timer.ended.since(timer.begun)


def time_packed(subject: Subject, examples: list[Example], device: torch.device) -> Clock:
    """Time of all updates after the warm-up with this project's loop."""
    settings = TrainingSettings(epochs=1, batch_size=BATCH, lr=2e-6)
    model, data = subject.model(device, PACKED_ATTENTION), _unshuffled(examples)
    trainer = PackedTrainer(Run(model, data, [], settings, 0, Devices(device)))
    trainer.model.train()
    begun = Clock.now(device)
    while trainer.step < trainer.steps:
        trainer.update()
        if trainer.readings.due or trainer.step in (WARMUP[device.type], trainer.steps):
            trainer.readings.read()
        if trainer.step == WARMUP[device.type]:
            begun = Clock.now(device)
    return Clock.now(device).since(begun)


def _unshuffled(examples: list[Example]) -> list[Example]:
    """Examples so placed that the loop's own shuffling (seed 0, epoch 0) gives them in order."""
    placed: list[Example | None] = [None] * len(examples)
    for position, index in enumerate(epoch_order(len(examples), 0, 0)):
        placed[index] = examples[position]
    return placed


@dataclass(frozen=True)
class Training(Contest):
    """The contest of ways to train.

    Attributes:
        tasks: that are trained on
        updates: measured ones (default: 2 to 8, on CUDA 20)
        micro: examples of the padded contestants' micro-batches
    """

    tasks: tuple[Literal[tuple(TASKS)], ...] = tuple(TASKS)
    updates: int | None = None
    micro: tuple[int, ...] = (1, 2, 4, 8)

    def measure(self, subject: Subject, task: str) -> list[dict]:
        """One row of results a contestant."""
        device, cell = self.device, default_cell(TASKS[task])
        updates = self.updates or UPDATES[device.type][task]
        rows = examples(self.hub, cell, "train")
        drawn = np.random.default_rng(0).permutation(len(rows))
        count = BATCH * (updates + WARMUP[device.type])
        chosen = completion_examples(
            subject.tokenizer, [rows[i] for i in drawn[:count]], cell.template, MAX_LENGTH
        )
        tokens = sum(len(item.ids) for item in chosen[-BATCH * updates :])
        contestants = {"packed": partial(time_packed, subject, chosen, device)}
        for micro in self.micro:
            contestants[f"padded x{micro}"] = partial(time_padded, subject, chosen, micro, device)
        return [
            {
                "contestant": key,
                "updates": updates,
                "mean_tokens": round(tokens / BATCH / updates),
                **row,
                "updates_per_cpu_second": round(updates / min(row["cpu_seconds"]), 3),
            }
            for key, row in self.take_turns(contestants).items()
        ]


@program
def main(asked: Annotated[Training, tyro.conf.arg(name="")]) -> None:
    asked.run("training", asked.tasks, asked.measure)
