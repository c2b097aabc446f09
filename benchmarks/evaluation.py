"""Evaluation throughput: this engine, the release's way, and lm-evaluation-harness.

Same model, same prompts with 4 shots, and the same predictions, which is checked. Texts of MNLI,
HellaSwag and XSum; models in float32 on a CPU, in bfloat16 on a CUDA device.

    python benchmarks/evaluation.py                     # a table, and benchmarks/results/*.json
    python benchmarks/evaluation.py --tasks mnli        # one task; the others' results are kept
    python benchmarks/evaluation.py --model FOLDER      # with a real model besides

The contestants are described in ``contestants.py``.
"""

import argparse
import importlib.util
from collections.abc import Callable
from functools import partial

from contest import Clock, Subject, compete, take_turns
from contestants import (
    TASKS,
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

from ptft.evaluation.results import CellResults
from ptft.inference.engine import Engine
from ptft.models.loading import scoring_dtype, wrap_model

ENGINE, VLLM = "engine", "vllm"
ROWS = {"cpu": dict(zip(TASKS, (32, 8, 8), strict=True)), "cuda": dict.fromkeys(TASKS, 512)}


def deviation(ours: CellResults, theirs: CellResults) -> float | None:
    """Largest difference between two contestants' log-likelihoods; None for generation."""
    if ours.logprobs[:1] == [None] or not theirs.logprobs:
        return None
    return max(
        abs(one - other)
        for row, another in zip(ours.logprobs, theirs.logprobs, strict=True)
        for one, other in zip(row, another, strict=True)
    )


def measure(subject: Subject, name: str, arguments: argparse.Namespace) -> list[dict]:
    """One row of results a contestant; all contestants run in every round."""
    device = arguments.device
    model = subject.model(device, "sdpa").to(scoring_dtype(device))
    loaded = wrap_model(model, subject.tokenizer)
    task = read_task(name, arguments.hub, arguments.rows or ROWS[device.type][name])
    engine, prompts = Engine(loaded), encode(loaded.tokenizer, loaded.max_length, task)
    contestants: dict[str, Callable[[Task], CellResults]] = {
        ENGINE: partial(run_engine, engine),
        "release": partial(run_release, loaded),
    }
    if task.cell.kind != "generation":  # `generate` computes the last position's logits only
        contestants["batch 1"] = partial(run_release, loaded, lean=True)
    if importlib.util.find_spec("lm_eval"):
        for batch in arguments.batches:
            contestants[f"harness x{batch}"] = partial(run_harness, loaded, batch=batch)
    if task.cell.kind == "generation" and importlib.util.find_spec("vllm"):
        contestants[VLLM] = partial(run_vllm, start_vllm(loaded))
    # What is run for the first time is slower: a row by each before the clock starts.
    one = Task(task.cell, task.examples[:1], task.pool)
    results = {key: run(one) for key, run in contestants.items()}

    def timed(key: str) -> Clock:
        begun = Clock.now(device)
        results[key] = contestants[key](task)
        return Clock.now(device).since(begun)

    found = take_turns({key: partial(timed, key) for key in contestants}, arguments.rounds, device)
    rows = []
    for key, row in found.items():
        reference = results[ENGINE]
        if name == "mnli" and key.startswith("harness"):
            reference = whole_label_results(engine, task)
        pairs = zip(results[key].predicted, reference.predicted, strict=True)
        rows.append(
            {
                "contestant": key,
                "examples": len(task.examples),
                "mean_prompt_tokens": round(sum(len(p.context) for p in prompts) / len(prompts)),
                **row,
                "same_predictions": sum(a == b for a, b in pairs) / len(prompts),
                "largest_deviation": deviation(reference, results[key]),
            }
        )
        if key == VLLM:  # in processes of its own
            rows[-1] |= {"cpu_seconds": None, "peak_mb": None, "cpu_ratio": None}
    return rows


if __name__ == "__main__":
    compete(
        __doc__.split("\n")[0], TASKS, measure,
        ("--rows", {"type": int, "help": "examples a task"}),
        ("--batches", {"type": int, "nargs": "+", "default": [1, 16], "help": "of the harness"}),
    )  # fmt: skip
