"""Cells: one score of a model on a dataset, in a format, with a number of shots."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ptft.evaluation.encoding import Prompt, encode_examples
from ptft.evaluation.engine import Engine
from ptft.evaluation.generation import generate
from ptft.prompts import select_shots
from ptft.tokens import label_tokens

KINDS = ("classification", "multiple_choice", "generation")
# Examples that are encoded at a time, so that memory does not grow with the dataset.
WINDOW = 2048


@dataclass(frozen=True)
class Cell:
    """What is asked of a model: all that determines the result besides model and data.

    Attributes:
        kind: one of ``KINDS``.
        labels: the label words of a classification, else None.
        max_new_tokens, stop: of a generation.
        max_examples: evaluate the first so many test rows only; None for all.
    """

    dataset: str
    format: str
    shots: int
    kind: str
    template: str
    labels: tuple[str, ...] | None = None
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    max_examples: int | None = None
    shots_seed: int = 0

    @property
    def name(self) -> str:
        """Stem of the cell's file."""
        return f"{self.dataset}.{self.format}.{self.shots}shot"


def cells_of_plan(plan: Mapping) -> list[Cell]:
    """Every cell of an evaluation plan, datasets in the plan's order.

    Raises:
        ValueError: a dataset's kind is unknown, or lacks what its kind needs.
    """
    cells = []
    for name, dataset in plan["datasets"].items():
        kind = dataset["kind"]
        if kind not in KINDS:
            raise ValueError(f"dataset {name}: kind {kind!r} is not one of {', '.join(KINDS)}")
        if kind == "classification" and len(dataset.get("labels") or ()) < 2:
            raise ValueError(f"dataset {name}: a classification needs two labels or more")
        if kind == "generation" and not dataset.get("max_new_tokens"):
            raise ValueError(f"dataset {name}: a generation needs max_new_tokens")
        for format_name, template in dataset["formats"].items():
            for shots in dataset["shots"]:
                cells.append(
                    Cell(
                        dataset=name,
                        format=format_name,
                        shots=shots,
                        kind=kind,
                        template=template,
                        labels=tuple(dataset["labels"]) if dataset.get("labels") else None,
                        max_new_tokens=dataset.get("max_new_tokens"),
                        stop=tuple(dataset.get("stop") or ()),
                        max_examples=dataset.get("max_examples"),
                        shots_seed=plan["shots_seed"],
                    )
                )
    return cells


def read_examples(file: Path, most: int | None = None) -> list[dict]:
    """Examples of a prepared split, the first ``most`` of them.

    Raises:
        ValueError: the file holds none.
    """
    examples = []
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            if most is not None and len(examples) >= most:
                break
            examples.append(json.loads(line))
    if not examples:
        raise ValueError(f"{file} holds no examples")
    return examples


@dataclass
class Results:
    """Per-example results of a cell, one entry an example in each list.

    Attributes:
        logprobs: per example, the log-likelihood of each label or choice; None for generation.
        predicted: label or choice number, or the generated text.
    """

    example_id: list[str] = field(default_factory=list)
    predicted: list[int | str] = field(default_factory=list)
    gold: list[int | str] = field(default_factory=list)
    logprobs: list[list[float] | None] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    extra: dict[str, list] = field(default_factory=dict)


def evaluate_cell(
    engine: Engine,
    cell: Cell,
    examples: Sequence[Mapping],
    shot_pool: Sequence[Mapping],
    progress: Callable[[int], None] = lambda rows: None,
) -> Results:
    """Score one cell.

    Args:
        examples: the test rows.
        shot_pool: rows to draw the shots from; never among the test rows.
        progress: told the number of examples after each batch.

    Raises:
        ValueError: labels that share their first sub-token, a gold answer that is no label or
            choice, or an example that does not fit the model's context.
        FloatingPointError: the model's logits are not finite.
    """
    balanced = cell.kind != "generation"
    shots = select_shots(shot_pool, cell.shots, cell.shots_seed, balanced=balanced)
    score = {
        "classification": _classify,
        "multiple_choice": _choose,
        "generation": _generate,
    }[cell.kind]
    results = Results()
    for start in range(0, len(examples), WINDOW):
        window = examples[start : start + WINDOW]
        score(engine, cell, shots, window, results, progress)
        results.example_id.extend(row["example_id"] for row in window)
    return results


def _encode(
    engine: Engine,
    cell: Cell,
    shots: Sequence[Mapping],
    examples: Sequence[Mapping],
    continuations: Callable[[Mapping], Sequence[str]],
    results: Results,
) -> list[Prompt]:
    prompts = encode_examples(
        engine.loaded.tokenizer,
        cell.template,
        shots,
        examples,
        continuations,
        engine.loaded.max_length,
        reserve=cell.max_new_tokens or 0,
    )
    results.prompt_tokens.extend(len(prompt.context) for prompt in prompts)
    results.truncated.extend(prompt.truncated for prompt in prompts)
    return prompts


def _classify(engine, cell, shots, examples, results, progress) -> None:
    """TokenProb: a label's score is that of its likelier first sub-token (with space, without)."""
    first = label_tokens(engine.loaded.tokenizer, cell.labels)
    branches = [[token] for label in cell.labels for token in first[label]]
    prompts = [
        Prompt(prompt.context, branches, prompt.shots, prompt.truncated)
        for prompt in _encode(engine, cell, shots, examples, lambda row: (), results)
    ]
    scores = np.array(engine.score(prompts, progress)).reshape(len(prompts), -1, 2).max(-1)
    results.logprobs.extend(scores.tolist())
    results.predicted.extend(cell.labels[best] for best in scores.argmax(-1))
    for row in examples:
        if row["gold"] not in cell.labels:
            raise ValueError(
                f"{cell.dataset}: gold {row['gold']!r} of example {row['example_id']!r} is not "
                f"one of the labels {', '.join(cell.labels)}"
            )
        results.gold.append(row["gold"])


def _choose(engine, cell, shots, examples, results, progress) -> None:
    """Choices by log-likelihood a character (``acc_norm``), and plainly (``acc``)."""
    for row in examples:
        if not 0 <= row["gold"] < len(row["choices"]):
            raise ValueError(
                f"{cell.dataset}: gold {row['gold']!r} of example {row['example_id']!r} is not "
                f"the number of one of its {len(row['choices'])} choices"
            )
    prompts = _encode(engine, cell, shots, examples, lambda row: row["choices"], results)
    acc = results.extra.setdefault("acc", [])
    for row, logprobs in zip(examples, engine.score(prompts, progress), strict=True):
        lengths = np.array([len(choice) for choice in row["choices"]])
        results.logprobs.append(logprobs)
        results.predicted.append(int(np.argmax(logprobs / lengths)))
        results.gold.append(row["gold"])
        acc.append(float(np.argmax(logprobs) == row["gold"]))


def _generate(engine, cell, shots, examples, results, progress) -> None:
    """Greedy continuations, cut at the stop strings."""
    prompts = _encode(engine, cell, shots, examples, lambda row: (), results)
    texts = generate(engine, prompts, cell.max_new_tokens, cell.stop, progress)
    results.predicted.extend(texts)
    results.gold.extend(row["gold"] for row in examples)
    results.logprobs.extend([None] * len(examples))
