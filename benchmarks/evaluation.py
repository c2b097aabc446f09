"""Evaluation throughput: this engine, the release's way, and lm-evaluation-harness.

Same model, same prompts with 4 shots, and the same predictions, which is checked. Texts of MNLI,
HellaSwag and XSum; models in float32 on a CPU, in bfloat16 on a CUDA device.

    python benchmarks/evaluation.py                     # a table, and benchmarks/results/*.json
    python benchmarks/evaluation.py --tasks mnli        # one task; the others' results are kept
    python benchmarks/evaluation.py --model FOLDER      # with a real model besides

The contestants are described in ``contestants.py``.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import tyro
from contest import Clock, Contest, Subject
from contestants import (
    TASKS,
    Task,
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
from ptft.models.loading import LoadedModel, scoring_dtype, wrap_model
from ptft.runtime.programs import program

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


@dataclass(frozen=True)
class Evaluation(Contest):
    """The contest of ways to evaluate.

    Attributes:
        tasks: that are scored
        rows: examples a task (default: 32 or 8, on CUDA 512)
        batches: of the harness
    """

    tasks: tuple[Literal[tuple(TASKS)], ...] = tuple(TASKS)
    rows: int | None = None
    batches: tuple[int, ...] = (1, 16)

    def measure(self, subject: Subject, name: str) -> list[dict]:
        """One row of results a contestant; all contestants run in every round."""
        model = subject.model(self.device, "sdpa").to(scoring_dtype(self.device))
        loaded = wrap_model(model, subject.tokenizer)
        task = read_task(name, self.hub, self.rows or ROWS[self.device.type][name])
        engine, contestants = Engine(loaded), self.contestants(loaded, task.cell.kind)
        # What is run for the first time is slower: a row by each before the clock starts.
        one = Task(task.cell, task.examples[:1], task.pool)
        results = {key: run(one) for key, run in contestants.items()}

        def timed(key: str) -> Clock:
            begun = Clock.now(self.device)
            results[key] = contestants[key](task)
            return Clock.now(self.device).since(begun)

        found = self.take_turns({key: partial(timed, key) for key in contestants})
        lengths = [len(prompt.context) for prompt in task.prompts(loaded)]
        rows = []
        for key, row in found.items():
            reference = results[ENGINE]
            if name == "mnli" and key.startswith("harness"):
                reference = whole_label_results(engine, task)
            pairs = zip(results[key].predicted, reference.predicted, strict=True)
            rows.append(
                {
                    "contestant": key,
                    "examples": len(lengths),
                    "mean_prompt_tokens": round(sum(lengths) / len(lengths)),
                    **row,
                    "same_predictions": sum(a == b for a, b in pairs) / len(lengths),
                    "largest_deviation": deviation(reference, results[key]),
                }
            )
            if key == VLLM:  # in processes of its own
                rows[-1] |= {"cpu_seconds": None, "peak_mb": None, "cpu_ratio": None}
        return rows

    def contestants(
        self, loaded: LoadedModel, kind: str
    ) -> dict[str, Callable[[Task], CellResults]]:
        """All that are installed here, ours first."""
        found: dict[str, Callable[[Task], CellResults]] = {
            ENGINE: partial(run_engine, Engine(loaded)),
            "release": partial(run_release, loaded),
        }
        if kind != "generation":  # `generate` computes the last position's logits only
            found["batch 1"] = partial(run_release, loaded, lean=True)
        if importlib.util.find_spec("lm_eval"):
            for batch in self.batches:
                found[f"harness x{batch}"] = partial(run_harness, loaded, batch=batch)
        if kind == "generation" and importlib.util.find_spec("vllm"):
            found[VLLM] = partial(run_vllm, start_vllm(loaded))
        return found


@program
def main(asked: Annotated[Evaluation, tyro.conf.arg(name="")]) -> None:
    asked.run("evaluation", asked.tasks, asked.measure)
