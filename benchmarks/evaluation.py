"""Evaluation throughput: this engine, the release's way, and lm-evaluation-harness.

Same model, same prompts with 4 shots, and the same predictions, which is checked. The contestants
take turns in every round, and a ratio is the median of the rounds' ratios: of wall time, and of CPU
time over all threads, which other work on the machine disturbs less. On a CPU a small OLMo with
random weights and the real vocabulary in float32; on a CUDA device OLMo-1B's shape in bfloat16.
Real texts of MNLI, HellaSwag and XSum under the real OLMo tokenizer.

    python benchmarks/evaluation.py                     # a table, and benchmarks/results/*.json
    python benchmarks/evaluation.py --tasks mnli        # one task; the others' results are kept
    python benchmarks/evaluation.py --model FOLDER      # a real model, the harness at 1 and 16

The contestants are described in ``evaluation_contestants.py``.
"""

import argparse
import importlib.util
import json
import logging
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from evaluation_contestants import (
    SHOTS,
    Task,
    encode,
    read_task,
    run_engine,
    run_harness,
    run_release,
    run_vllm,
    start_vllm,
    whole_label_results,
)
from training import REPOSITORY, Clock, machine, measured, new_model
from training_texts import SHARED, real_data
from transformers import AutoTokenizer

from ptft.evaluation.results import CellResults
from ptft.inference.engine import Engine
from ptft.models.loading import LoadedModel, load_for_scoring, wrap_model

ENGINE, RELEASE, LEAN, VLLM = "engine", "release", "batch 1", "vllm"
ROWS = {"cpu": {"mnli": 64, "hellaswag": 12, "xsum": 16}, "cuda": dict.fromkeys(
    ("mnli", "hellaswag", "xsum"), 512)}  # fmt: skip
# On a CPU its automatic batch begins with 64 x 2,048 tokens, whose logits take 26 GB. Batches of
# 1, 2, 4 and 8 took 4.8, 4.6, 4.8 and 4.8 s of CPU time on four rows of HellaSwag.
HARNESS_BATCH = {"cpu": (2,), "cuda": ("auto",)}
REAL_BATCH = (1, 16)


def deviation(ours: CellResults, theirs: CellResults) -> float | None:
    """Largest difference between two contestants' log-likelihoods; None for generation."""
    if ours.logprobs[:1] == [None] or not theirs.logprobs:
        return None
    return max(
        abs(one - other)
        for row, another in zip(ours.logprobs, theirs.logprobs, strict=True)
        for one, other in zip(row, another, strict=True)
    )


def measure_task(task: Task, loaded: LoadedModel, rounds: int, batches: tuple) -> list[dict]:
    """One row of results a contestant; all contestants run in every round.

    Args:
        batches: of the harness.
    """
    device = loaded.device
    engine, prompts = Engine(loaded), encode(loaded.tokenizer, loaded.max_length, task)
    contestants: dict[str, Callable[[], CellResults]] = {
        ENGINE: lambda: run_engine(engine, task),
        RELEASE: lambda: run_release(loaded, task),
    }
    if task.cell.kind != "generation":  # `generate` computes the last position's logits only
        contestants[LEAN] = lambda: run_release(loaded, task, lean=True)
    if importlib.util.find_spec("lm_eval"):
        for batch in batches:
            contestants[f"harness x{batch}"] = partial(run_harness, loaded, task, prompts, batch)
    # What is run for the first time is slower: a few rows of everything before the clock starts.
    few = Task(task.cell, task.examples[:2], task.pool)
    if task.cell.kind == "generation" and importlib.util.find_spec("vllm"):
        other = start_vllm(loaded)
        contestants[VLLM] = lambda: run_vllm(other, task)
        run_vllm(other, few)
    run_engine(engine, few)
    run_release(loaded, few)
    times: dict[str, list[Clock]] = {key: [] for key in contestants}
    memory = dict.fromkeys(contestants, 0)
    results: dict[str, CellResults] = {}

    def timed(key: str) -> Clock:
        begun = Clock.now(device)
        results[key] = contestants[key]()
        return Clock.now(device).since(begun)

    for turn in range(rounds):
        order = list(contestants)
        for key in order if turn % 2 == 0 else reversed(order):
            took, peak_bytes = measured(lambda key=key: timed(key), device)
            times[key].append(took)
            memory[key] = max(memory[key], peak_bytes)
    rows = []
    for key, taken in times.items():
        pairs = list(zip(taken, times[ENGINE], strict=True))
        middle = statistics.median(clock.wall for clock in taken)
        reference = results[ENGINE]
        if task.cell.name.startswith("mnli") and key.startswith("harness"):
            reference = whole_label_results(engine, task)
        same = [one == other for one, other in
                zip(results[key].predicted, reference.predicted, strict=True)]  # fmt: skip
        rows.append(
            {
                "task": task.cell.dataset,
                "contestant": key,
                "examples": len(task.examples),
                "mean_prompt_tokens": sum(len(p.context) for p in prompts) / len(prompts),
                "truncated": sum(p.truncated for p in prompts),
                "seconds": [round(clock.wall, 3) for clock in taken],
                "cpu_seconds": None if key == VLLM else [round(clock.cpu, 3) for clock in taken],
                "peak_memory_bytes": None if key == VLLM else memory[key],
                "examples_per_second": len(task.examples) / middle,
                "same_predictions": sum(same) / len(same),
                "largest_deviation": deviation(reference, results[key]),
                "engine_is_faster_by": statistics.median(
                    theirs.wall / ours.wall for theirs, ours in pairs
                ),
                "engine_is_faster_by_cpu_time": None if key == VLLM else statistics.median(
                    theirs.cpu / ours.cpu for theirs, ours in pairs
                ),
            }
        )  # fmt: skip
    return rows


def print_rows(rows: list[dict]) -> None:
    """The results of one task as a table."""
    first = rows[0]
    head = f"{first['task']}, {first['mean_prompt_tokens']:.0f} tokens a prompt"
    columns = ("examples/s", "same answers", "deviation", "memory", "ratio", "by CPU time")
    print(f"\n{head:<30}" + "".join(f"{name:>13}" for name in columns))
    for row in rows:
        away, memory = row["largest_deviation"], row["peak_memory_bytes"]
        by_cpu_time = row["engine_is_faster_by_cpu_time"]
        cells = (
            f"{row['examples_per_second']:.2f}",
            f"{row['same_predictions']:.1%}",
            "" if away is None else f"{away:.1e}",
            "" if memory is None else f"{memory / 2**20:.0f} MB",
            f"{row['engine_is_faster_by']:.2f}x",
            "" if by_cpu_time is None else f"{by_cpu_time:.2f}x",
        )
        print(f"  {row['contestant']:<28}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def made_up_model(device: torch.device, hub: Path) -> LoadedModel:
    """Random weights with OLMo's tokenizer, in the precision that models are scored in."""
    model = new_model(device, "sdpa").to(torch.bfloat16 if device.type == "cuda" else torch.float32)
    return wrap_model(model, AutoTokenizer.from_pretrained(hub / "models/allenai/OLMo-1B-hf"))


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shared", type=Path, default=SHARED, help="real texts and tokenizer")
    parser.add_argument("--tasks", nargs="+", default=list(ROWS["cpu"]), choices=list(ROWS["cpu"]))
    parser.add_argument("--model", type=Path, help="folder of a real model, in place of the small")
    parser.add_argument("--rows", type=int, help="examples a task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON (default: benchmarks/results)")
    arguments = parser.parse_args(argv)
    hub = real_data(arguments.shared)
    for name in ("transformers", "lm_eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_for_scoring(arguments.model) if arguments.model else made_up_model(device, hub)
    batches = REAL_BATCH if arguments.model else HARNESS_BATCH[device.type]
    about = machine(device)
    print(about)
    name = f"evaluation-{'real-' if arguments.model else ''}{device.type}.json"
    output = arguments.output or REPOSITORY / "benchmarks/results" / name
    tasks = json.loads(output.read_text())["tasks"] if output.exists() else {}
    result = {"shots": SHOTS, "tasks": tasks}
    if arguments.model:
        result["model"] = arguments.model.name
    elif device.type == "cpu":
        result["not_measured"] = "OLMo-1B's shape in bfloat16 on a CUDA device: none was at hand"
    for name in arguments.tasks:
        task = read_task(name, hub, arguments.rows or ROWS[device.type][name])
        rows = measure_task(task, loaded, arguments.rounds, batches)
        print_rows(rows)
        tasks[name] = {"machine": about, "rows": rows}
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n")
    if "not_measured" in result:
        print(f"\nNot measured: {result['not_measured']}.")


if __name__ == "__main__":
    sys.exit(main())
