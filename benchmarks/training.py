"""Fine-tuning throughput: this project's loop against transformers' Trainer with padding.

Same model, same examples in the same order, same number of updates of 8 examples; completion-only
loss, AdamW, clipping at 1. The contestants take turns in every round, and a ratio is the median of
the rounds' ratios. On a CPU a small OLMo with random weights and the real vocabulary; on a CUDA
device OLMo-1B's shape. The texts are the real training sets of MNLI, PAWS, SocialIQa (question
generation) and XSum under the real OLMo tokenizer. CPU time is measured besides wall time, because
the machine may have other work to do.

    python benchmarks/training.py     # a table, and benchmarks/results/*.json

A padded contestant is `padded xK`: micro-batches of K examples, 8/K of them accumulated. `padded
x1` is how the paper's release trained.
"""

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import OlmoConfig, OlmoForCausalLM, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

# From here on the library is found as well: this module puts scripts/ on the path.
from shapes import EOS, OLMO_1B, PAD, SMALL, VOCABULARY  # isort: skip
from training_texts import REPOSITORY, SHARED, TASKS, read_training_texts  # isort: skip

from ptft.models.loading import avoid_cudnn_attention
from ptft.training.devices import Devices
from ptft.training.examples import Example, epoch_order
from ptft.training.loop import Run
from ptft.training.loop import Trainer as PackedTrainer
from ptft.training.packing import NAME as PACKED_ATTENTION
from ptft.training.settings import TrainingSettings

BATCH = 8
PACKED = "packed"
CPU_UPDATES = {"mnli": 8, "paws": 6, "socialiqa": 8, "xsum": 2}  # some 4,000 to 8,000 tokens each
CUDA_UPDATES = 20


def new_model(device: torch.device, attention: str) -> OlmoForCausalLM:
    """Random weights, the same at every call, in float32; OLMo-1B's shape on CUDA.

    All contestants attend without cuDNN, which would flatter this project's own attention.
    """
    avoid_cudnn_attention()
    shape = OLMO_1B if device.type == "cuda" else SMALL
    torch.manual_seed(0)
    config = OlmoConfig(
        vocab_size=VOCABULARY, max_position_embeddings=2048, tie_word_embeddings=True,
        eos_token_id=EOS, pad_token_id=PAD, bos_token_id=None, attn_implementation=attention,
        **shape,
    )  # fmt: skip
    with device:  # made where it is used: a billion random numbers take a CPU long
        return OlmoForCausalLM(config)


@dataclass(frozen=True)
class Clock:
    """Wall seconds, and seconds of CPU time over all threads (which other work disturbs less)."""

    wall: float
    cpu: float

    @classmethod
    def now(cls, device: torch.device) -> "Clock":
        """The time, once the device has nothing left to do."""
        synchronise(device)
        return cls(time.perf_counter(), time.process_time())

    def since(self, begun: "Clock") -> "Clock":
        """The time passed."""
        return Clock(self.wall - begun.wall, self.cpu - begun.cpu)


class Timer(TrainerCallback):
    """Notes the time before the first measured update and after the last."""

    def __init__(self, warmup: int, device: torch.device) -> None:
        self.warmup, self.device = warmup, device

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


def time_padded(examples: list[Example], micro: int, warmup: int, device: torch.device) -> Clock:
    """Time of all updates after ``warmup`` with transformers' Trainer."""
    rows = [
        {
            "input_ids": item.ids.tolist(),
            "labels": np.where(item.loss_mask, item.ids, -100).tolist(),
            "attention_mask": [1] * len(item.ids),
        }
        for item in examples
    ]
    timer = Timer(warmup, device)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=micro, gradient_accumulation_steps=BATCH // micro,
            num_train_epochs=1, learning_rate=2e-6, warmup_steps=0, optim="adamw_torch_fused",
            bf16=device.type == "cuda", use_cpu=device.type == "cpu", report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, max_grad_norm=1.0,
        )  # fmt: skip
        trainer = InOrder(
            new_model(device, "sdpa"), arguments, train_dataset=rows, data_collator=pad,
            callbacks=[timer],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return timer.ended.since(timer.begun)


def time_packed(examples: list[Example], warmup: int, device: torch.device) -> Clock:
    """Time of all updates after ``warmup`` with this project's loop."""
    settings = TrainingSettings(epochs=1, batch_size=BATCH, lr=2e-6)
    trainer = PackedTrainer(
        Run(new_model(device, PACKED_ATTENTION), _unshuffled(examples), [], settings, 2e-6, 0,
            Devices(device))
    )  # fmt: skip
    trainer.model.train()
    begun = Clock.now(device)
    while trainer.step < trainer.steps:
        trainer.update()
        if trainer.readings.due or trainer.step in (warmup, trainer.steps):
            trainer.readings.read()
        if trainer.step == warmup:
            begun = Clock.now(device)
    return Clock.now(device).since(begun)


def _unshuffled(examples: list[Example]) -> list[Example]:
    """Examples so placed that the loop's own shuffling (seed 0, epoch 0) gives them in order."""
    placed: list[Example | None] = [None] * len(examples)
    for position, index in enumerate(epoch_order(len(examples), 0, 0)):
        placed[index] = examples[position]
    return placed


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured(run, device: torch.device) -> tuple[Clock, int]:
    """The time that ``run`` reports and its peak memory in bytes."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return run(), torch.cuda.max_memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: restarts the count of peak memory
    took = run()
    status = Path("/proc/self/status").read_text()
    return took, 1024 * int(status.split("VmHWM:")[1].split()[0])


def measure_task(
    name: str, examples: list[Example], updates: int, rounds: int, device: torch.device
) -> list[dict]:
    """One row of results a contestant; all contestants run in every round."""
    warmup = 1 if device.type == "cpu" else 10
    rng = np.random.default_rng(0)
    chosen = [examples[i] for i in rng.permutation(len(examples))[: BATCH * (updates + warmup)]]
    timed = chosen[BATCH * warmup :]
    tokens = sum(len(item.ids) for item in timed)
    contestants = {PACKED: lambda: time_packed(chosen, warmup, device)}
    for micro in (1, 2, 4, 8):
        contestants[f"padded x{micro}"] = lambda micro=micro: time_padded(
            chosen, micro, warmup, device
        )
    times: dict[str, list[Clock]] = {key: [] for key in contestants}
    memory = dict.fromkeys(contestants, 0)
    for turn in range(rounds):
        order = list(contestants)
        for key in order if turn % 2 == 0 else reversed(order):
            took, peak_bytes = measured(contestants[key], device)
            times[key].append(took)
            memory[key] = max(memory[key], peak_bytes)
    rows = []
    for key, taken in times.items():
        ratios = {
            kind: statistics.median(
                getattr(mine, kind) / getattr(packed, kind)
                for mine, packed in zip(taken, times[PACKED], strict=True)
            )
            for kind in ("wall", "cpu")
        }
        middle = statistics.median(each.wall for each in taken)
        rows.append(
            {
                "task": name,
                "contestant": key,
                "updates": updates,
                "mean_tokens": tokens / len(timed),
                "seconds": [round(each.wall, 3) for each in taken],
                "cpu_seconds": [round(each.cpu, 3) for each in taken],
                "examples_per_second": len(timed) / middle,
                "tokens_per_second": tokens / middle,
                "peak_memory_bytes": memory[key],
                "ratio": ratios["wall"],
                "cpu_ratio": ratios["cpu"],
            }
        )
    return rows


def print_rows(rows: list[dict]) -> None:
    """The results of one task as a table."""
    if not rows:
        return
    head = f"{rows[0]['task']}, {rows[0]['mean_tokens']:.0f} tokens an example"
    columns = f"{'examples/s':>12}{'tokens/s':>12}{'memory':>10}"
    print(f"\n{head:<32}{columns}{'ratio':>8}{'CPU time':>9}")
    for row in rows:
        print(
            f"  {row['contestant']:<30}{row['examples_per_second']:>12.1f}"
            f"{row['tokens_per_second']:>12,.0f}"
            f"{row['peak_memory_bytes'] / 2**20:>7.0f} MB"
            f"{row['ratio']:>7.2f}x{row['cpu_ratio']:>8.2f}x",
            flush=True,
        )


def machine(device: torch.device) -> dict:
    """The machine that it was measured on."""
    names = Path("/proc/cpuinfo").read_text().split("model name")[1:]
    return {
        "cpu": names[0].split("\n")[0].strip(" \t:") if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "load_average": os.getloadavg()[0],
        "date": date.today().isoformat(),
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shared", type=Path, default=SHARED, help="real texts and tokenizer")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument(
        "--updates", type=int, help="measured updates (default: 2 to 8, on CUDA 20)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON (default: benchmarks/results)")
    arguments = parser.parse_args(argv)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    examples = read_training_texts(arguments.shared)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(machine(device))
    rows: list[dict] = []
    for name in arguments.tasks:
        usual = CUDA_UPDATES if device.type == "cuda" else CPU_UPDATES[name]
        updates = arguments.updates or usual
        new = measure_task(name, examples[name], updates, arguments.rounds, device)
        print_rows(new)
        rows += new
    result = {"machine": machine(device), "rows": rows}
    output = arguments.output or REPOSITORY / f"benchmarks/results/training-{device.type}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
