"""Fine-tuning throughput: this project's loop against transformers' Trainer with padding.

Same model, same examples in the same order, same number of updates of 8 examples; completion-only
loss, AdamW, clipping at 1. The contestants take turns in every round, and a ratio is the median of
the rounds' ratios. On a CPU a small OLMo with random weights and the real vocabulary; on a CUDA
device OLMo-1B's shape. The texts are the real training sets of MNLI, PAWS, SocialIQa (question
generation) and XSum under the real OLMo tokenizer.

    python benchmarks/training.py                       # a table, and benchmarks/results/*.json
    python benchmarks/training.py --write-tokens F.npz  # for a machine without the texts ...
    python benchmarks/training.py --tokens F.npz        # ... which needs torch and transformers

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
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import OlmoConfig, OlmoForCausalLM, Trainer, TrainerCallback, TrainingArguments

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from ptft.training.attention import NAME as PACKED_ATTENTION  # noqa: E402
from ptft.training.devices import Devices  # noqa: E402
from ptft.training.examples import Example, completion_examples, truncate  # noqa: E402
from ptft.training.loop import Run  # noqa: E402
from ptft.training.loop import Trainer as PackedTrainer  # noqa: E402
from ptft.training.memory import flops_per_token  # noqa: E402
from ptft.training.model import load_tokenizer  # noqa: E402
from ptft.training.settings import TrainingSettings  # noqa: E402

BATCH = 8
MAX_LENGTH = 2048
PACKED = "packed"
ROOFLINE_FLOPS = 790e12  # dense bf16 that an H200 sustains in a large matrix product
PAPER_HOURS, PAPER_RUNS, PAPER_EXAMPLES = 28, 8, 3 * 6000  # a task: 8 checkpoints, 3 epochs

SMALL = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8}
OLMO_1B = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}


@dataclass(frozen=True)
class Task:
    """Where a task's training texts are, in the Hub's layout, and how they become prompts."""

    family: str
    file: str
    fields: tuple[str, ...]
    gold: str
    labels: tuple[str, ...] = ()


TASKS = {
    "mnli": Task(
        "nli", "nyu-mll/glue/mnli", ("premise", "hypothesis"), "label",
        ("entailment", "neutral", "contradiction"),
    ),
    "paws": Task(
        "paraphrase", "google-research-datasets/paws/labeled_final",
        ("sentence1", "sentence2"), "label", ("no", "yes"),
    ),
    "socialiqa": Task(
        "question_generation", "allenai/social_i_qa/question_generation",
        ("context", "answer"), "question",
    ),
    "xsum": Task("summarization", "EdinburghNLP/xsum/default", ("document",), "summary"),
}  # fmt: skip


def read_examples(shared: Path) -> dict[str, list[Example]]:
    """The four training sets as tokens, by the templates of config/families."""
    import yaml
    from pyarrow import parquet

    tokenizer = load_tokenizer(shared / "hub/models/allenai/OLMo-1B-hf")
    found = {}
    for name, task in TASKS.items():
        family = yaml.safe_load((REPOSITORY / f"config/families/{task.family}.yaml").read_text())
        table = parquet.read_table(shared / f"hub/datasets/{task.file}/train-00000-of-00001.parquet")
        rows = [
            {
                "example_id": str(number),
                "fields": {field: row[field] for field in task.fields},
                "gold": task.labels[int(row[task.gold])] if task.labels else row[task.gold],
            }
            for number, row in enumerate(table.to_pylist())
        ]
        examples = completion_examples(tokenizer, rows, family["formats"]["default"])
        found[name], _ = truncate(examples, MAX_LENGTH)
    return found


def write_tokens(examples: dict[str, list[Example]], path: Path) -> None:
    """Write token ids and the number of learned ones at the end of each example."""
    arrays = {}
    for name, items in examples.items():
        arrays[f"{name}.ids"] = np.concatenate([item.ids for item in items]).astype(np.int32)
        arrays[f"{name}.lengths"] = np.array([len(item.ids) for item in items])
        arrays[f"{name}.targets"] = np.array([item.targets for item in items])
    np.savez_compressed(path, **arrays)


def read_tokens(path: Path) -> dict[str, list[Example]]:
    """Read what :func:`write_tokens` wrote."""
    arrays = np.load(path)
    found = {}
    for name in TASKS:
        ends = np.cumsum(arrays[f"{name}.lengths"])
        rows = np.split(arrays[f"{name}.ids"].astype(np.int64), ends[:-1])
        found[name] = [
            Example(str(number), ids, np.arange(len(ids)) >= len(ids) - targets)
            for number, (ids, targets) in enumerate(zip(rows, arrays[f"{name}.targets"], strict=True))
        ]
    return found


def new_model(device: torch.device, attention: str) -> OlmoForCausalLM:
    """Random weights, the same at every call, in float32."""
    shape = OLMO_1B if device.type == "cuda" else SMALL
    heads = 16 if device.type == "cuda" else 4
    torch.manual_seed(0)
    config = OlmoConfig(
        vocab_size=50304, max_position_embeddings=2048, tie_word_embeddings=True,
        num_attention_heads=heads, eos_token_id=50279, pad_token_id=1, bos_token_id=None, **shape,
    )  # fmt: skip
    config._attn_implementation = attention
    return OlmoForCausalLM(config).to(device)


class Timer(TrainerCallback):
    """Notes the time before the first measured update and after the last."""

    def __init__(self, warmup: int, device: torch.device) -> None:
        self.warmup, self.device = warmup, device

    def on_step_end(self, args, state, control, **_) -> None:
        if state.global_step in (self.warmup, state.max_steps):
            synchronise(self.device)
            if state.global_step == self.warmup:
                self.begun = time.perf_counter()
            self.ended = time.perf_counter()


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


def time_padded(examples: list[Example], micro: int, warmup: int, device: torch.device) -> float:
    """Seconds of all updates after ``warmup`` with transformers' Trainer."""
    rows = [
        {
            "input_ids": item.ids.tolist(),
            "labels": np.where(item.learned, item.ids, -100).tolist(),
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
        InOrder(
            new_model(device, "sdpa"), arguments, train_dataset=rows, data_collator=pad,
            callbacks=[timer],
        ).train()  # fmt: skip
    return timer.ended - timer.begun


def time_packed(examples: list[Example], warmup: int, device: torch.device) -> float:
    """Seconds of all updates after ``warmup`` with this project's loop."""
    settings = TrainingSettings(epochs=1, batch_size=BATCH, lr=2e-6)
    trainer = PackedTrainer(
        Run(new_model(device, PACKED_ATTENTION), _unshuffled(examples), [], settings, 2e-6, 0,
            Devices(device))
    )  # fmt: skip
    trainer.model.train()
    begun = 0.0
    while trainer.step < trainer.steps:
        trainer._update()
        if trainer._read_due() or trainer.step in (warmup, trainer.steps):
            trainer._read()
        if trainer.step == warmup:
            synchronise(device)
            begun = time.perf_counter()
    synchronise(device)
    return time.perf_counter() - begun


def _unshuffled(examples: list[Example]) -> list[Example]:
    """Examples so placed that the loop's own shuffling (seed 0, epoch 0) gives them in order."""
    from ptft.training.batches import epoch_order

    placed: list[Example | None] = [None] * len(examples)
    for position, index in enumerate(epoch_order(len(examples), 0, 0)):
        placed[index] = examples[position]
    return placed


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured(run, device: torch.device) -> tuple[float, int]:
    """Seconds that ``run`` reports and its peak memory in bytes."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return run(), torch.cuda.max_memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: restarts the count of peak memory
    seconds = run()
    status = Path("/proc/self/status").read_text()
    return seconds, 1024 * int(status.split("VmHWM:")[1].split()[0])


def matrix_flops(device: torch.device) -> float:
    """Floating-point operations a second of a large matrix product: what 100 % stands for."""
    size = 8192 if device.type == "cuda" else 2048
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    one = torch.randn(size, size, device=device, dtype=kind)
    best = 0.0
    for _ in range(8):
        synchronise(device)
        begun = time.perf_counter()
        one @ one
        synchronise(device)
        best = max(best, 2 * size**3 / (time.perf_counter() - begun))
    return best


def measure_task(
    name: str, examples: list[Example], updates: int, rounds: int, device: torch.device, peak: float
) -> list[dict]:
    """One row of results a contestant; all contestants run in every round."""
    warmup = 2 if device.type == "cpu" else 10
    rng = np.random.default_rng(0)
    chosen = [examples[i] for i in rng.permutation(len(examples))[: BATCH * (updates + warmup)]]
    timed = chosen[BATCH * warmup :]
    tokens = sum(len(item.ids) for item in timed)
    contestants = {PACKED: lambda: time_packed(chosen, warmup, device)}
    for micro in (1, 2, 4, 8):
        contestants[f"padded x{micro}"] = lambda micro=micro: time_padded(
            chosen, micro, warmup, device
        )
    seconds: dict[str, list[float]] = {key: [] for key in contestants}
    memory = dict.fromkeys(contestants, 0)
    for turn in range(rounds):
        order = list(contestants)
        for key in order if turn % 2 == 0 else reversed(order):
            took, peak_bytes = measured(contestants[key], device)
            seconds[key].append(took)
            memory[key] = max(memory[key], peak_bytes)
    flops = flops_per_token(new_model(torch.device("meta"), "sdpa") if device.type == "meta"
                            else new_model(device, "sdpa"))  # fmt: skip
    rows = []
    for key, taken in seconds.items():
        ratios = [mine / other for mine, other in zip(taken, seconds[PACKED], strict=True)]
        middle = statistics.median(taken)
        rows.append(
            {
                "task": name,
                "contestant": key,
                "updates": updates,
                "mean_tokens": tokens / len(timed),
                "seconds": [round(value, 3) for value in taken],
                "examples_per_second": len(timed) / middle,
                "tokens_per_second": tokens / middle,
                "share_of_matrix_flops": flops * tokens / middle / peak,
                "share_of_roofline": (
                    flops * tokens / middle / ROOFLINE_FLOPS if device.type == "cuda" else None
                ),
                "peak_memory_bytes": memory[key],
                "packed_is_faster_by": statistics.median(ratios),
            }
        )
    return rows


def print_rows(rows: list[dict]) -> None:
    """The results of one task as a table."""
    if not rows:
        return
    head = f"{rows[0]['task']}, {rows[0]['mean_tokens']:.0f} tokens an example"
    print(f"\n{head:<32}{'examples/s':>12}{'tokens/s':>12}{'of matmul':>11}{'memory':>10}{'ratio':>8}")
    for row in rows:
        print(
            f"  {row['contestant']:<30}{row['examples_per_second']:>12.1f}"
            f"{row['tokens_per_second']:>12,.0f}{row['share_of_matrix_flops']:>11.1%}"
            f"{row['peak_memory_bytes'] / 2**20:>7.0f} MB{row['packed_is_faster_by']:>7.2f}x",
            flush=True,
        )


def grid_hours(rows: list[dict]) -> float:
    """Hours of the paper's supervised training grid at the measured throughput."""
    speeds = [row["examples_per_second"] for row in rows if row["contestant"] == PACKED]
    return sum(PAPER_RUNS * PAPER_EXAMPLES / speed for speed in speeds) / 3600


def machine(device: torch.device) -> dict:
    """What it was measured on."""
    names = Path("/proc/cpuinfo").read_text().split("model name")[1:]
    return {
        "cpu": names[0].split("\n")[0].strip(" \t:") if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": date.today().isoformat(),
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=shared, help="real texts and tokenizer")
    parser.add_argument("--tokens", type=Path, help="tokens written before, instead of the texts")
    parser.add_argument("--write-tokens", type=Path, help="write the tokens there and stop")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--updates", type=int, help="measured updates (default: 8 or 30 on CUDA)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON (default: benchmarks/results)")
    arguments = parser.parse_args(argv)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    examples = read_tokens(arguments.tokens) if arguments.tokens else read_examples(arguments.shared)
    if arguments.write_tokens:
        write_tokens(examples, arguments.write_tokens)
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    updates = arguments.updates or (30 if device.type == "cuda" else 8)
    peak = matrix_flops(device)
    print(f"{machine(device)}\nmatrix product: {peak / 1e9:,.0f} GFLOP/s")
    rows: list[dict] = []
    for name in arguments.tasks:
        new = measure_task(name, examples[name], updates, arguments.rounds, device, peak)
        print_rows(new)
        rows += new
    result = {"machine": machine(device), "matrix_gflops": peak / 1e9, "rows": rows}
    if device.type == "cuda" and set(arguments.tasks) == set(TASKS):
        result["grid_gpu_hours"] = grid_hours(rows)
        print(f"\npaper's training grid: {grid_hours(rows):.2f} GPU-hours, the paper {PAPER_HOURS}")
    else:
        print("\nNo CUDA device: OLMo-1B's shape and the paper's GPU-hours are not measured.")
    output = arguments.output or REPOSITORY / f"benchmarks/results/training-{device.type}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
