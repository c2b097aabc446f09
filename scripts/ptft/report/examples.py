"""The page of single examples: prompts and answers of any of the models that were drawn.

Cells do not store prompts: these are built again from the prepared examples.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ptft import language
from ptft.analysis.examples import (
    DRAWN,
    GROUPS,
    MARGIN,
    Pick,
    Picked,
    cells_reader,
    pick_examples,
)
from ptft.analysis.settings import Settings
from ptft.evaluation.cells import CellRequest, EvaluationPlan, cell_shots, cells_of_plan
from ptft.files import read_all, read_examples, read_slice
from ptft.language import use_wording
from ptft.prompts.templates import CHOICE, completion, render, shots_text
from ptft.report import rendering

PROMPT, ANSWER = 1200, 300
"""characters shown of a prompt and of an answer"""
CARDS_SHOWN = 20
"""shown at first, and added at each request"""


def write_examples(
    cells: Path,
    arms: Path,
    plan: Path,
    settings: Path,
    wording: Path,
    evaluations: Path,
    data: Path,
    seed: int,
    output: Path,
) -> None:
    """Write the page of single examples: learned, forgotten, changed by the prompt format.

    Args:
        cells: cells.parquet
        arms: arms.parquet
        plan: what is scored, JSON file
        settings: of the analyses, JSON file
        wording: language and titles, JSON file
        evaluations: folder of the evaluations
        data: folder of prepared datasets
        seed: of the draws
        output: the page, HTML
    """
    asked = cells_of_plan(read_slice(plan, EvaluationPlan))
    table = pl.read_parquet(cells)
    reader = cells_reader(table, evaluations, {cell.dataset: cell.labels for cell in asked})
    chosen = read_slice(settings, Settings)
    picked = pick_examples(table, pl.read_parquet(arms), chosen, reader, seed)
    use_wording(wording)
    page = examples_page(examples_data(picked, asked, data), seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")


def examples_page(data: Mapping[str, Any], seed: int) -> str:
    """A whole HTML page, in the language in use.

    Args:
        data: :func:`examples_data`.
        seed: with which the examples were drawn.
    """
    label = language.label
    groups = [{"number": GROUPS.index(name), "name": name} for name in data["groups"]]
    words = {
        "all": label("all"),
        "drawn": label("{shown} of {drawn} shown, drawn from {all}"),
        "compared": label("{shown} of {all} examples that all models answer; {differ} differ"),
        "base": label("base model"),
        "cut": label("(prompt cut to the model's context)"),
        "gold": label("Gold"),
        "prompt": label("Prompt"),
        "right": label("right"),
        "score": "ROUGE-L",
        "shots": label("Solved examples before it"),
        "tuned": label("tuned on {task}"),
        "wrong": label("wrong"),
    }
    return rendering.render(
        "examples.jinja",
        groups=groups,
        margin=MARGIN,
        drawn=DRAWN,
        seed=seed,
        empty=not data["cards"],
        packed=rendering.packed(
            json.dumps({**data, "groups": groups, "words": words, "limit": CARDS_SHOWN})
        ),
    )


def examples_data(picked: Picked, cells: Iterable[CellRequest], data: Path) -> dict[str, Any]:
    """The page's data as plain lists, in which names are indices into other lists.

    Args:
        picked: the examples.
        cells: that every model of the study is scored on, datasets in its order.
        data: folder of prepared splits.
    """
    asked = {(c.dataset, c.format): c for c in cells if picked.shots.get(c.dataset) == c.shots}
    by_dataset: dict[str, list[Pick]] = {dataset: [] for dataset, _ in asked}
    for pick in picked.picks:
        by_dataset[pick.dataset].append(pick)
    by_dataset = {dataset: picks for dataset, picks in by_dataset.items() if picks}
    names = _Names(picked, list(by_dataset))
    datasets, rows, cards, samples = [], [], [], []
    for dataset, picks in by_dataset.items():
        sample = picked.samples[dataset]
        read = [(pick.example_id, name) for pick in picks for _, name, _ in pick.answers]
        read += [
            (answer["example_id"], picked.format)
            for answers in sample.values()
            for answer in answers
        ]
        requests = {name: asked[dataset, name] for name in sorted({name for _, name in read})}
        prompts = _Prompts(read, requests, data / dataset)
        datasets.append({"title": language.dataset(dataset), "shots": prompts.shots})
        rows.append(prompts.rows)
        chosen = any("choices" in row for row in prompts.rows)
        cards += [_card(pick, names, prompts.places[pick.example_id], chosen) for pick in picks]
        samples += [
            [
                *(names.checkpoints.index(checkpoint), len(datasets) - 1, names.arms.index(arm)),
                [
                    [prompts.places[answer["example_id"]], picked.format, *_answer(answer, chosen)]
                    for answer in answers
                ],
            ]
            for (checkpoint, arm), answers in sample.items()
        ]
    return {
        "tasks": [language.task(task) for task in names.tasks],
        "checkpoints": names.checkpoints,
        "arms": names.arms,
        "groups": [group for group in GROUPS if any(p.group == group for p in picked.picks)],
        "datasets": datasets,
        "rows": rows,
        "samples": samples,
        "cards": sorted(cards, key=lambda card: card[:2]),
        "counts": [
            [GROUPS.index(group), *names.of(task, checkpoint, dataset), number]
            for (group, task, checkpoint, dataset), number in picked.counts.items()
            if dataset in by_dataset and number
        ],
    }


class _Names:
    """Names that cards refer to by number."""

    def __init__(self, picked: Picked, datasets: list[str]):
        self.tasks = list(dict.fromkeys(pick.task for pick in picked.picks))
        self.checkpoints, self.datasets = picked.checkpoints, datasets
        every = {arm for sample in picked.samples.values() for _, arm in sample}
        every |= {arm for pick in picked.picks for arm, _, _ in pick.answers}
        self.arms = sorted(every, key=lambda arm: (arm != "base", arm))

    def of(self, task: str, checkpoint: str, dataset: str) -> list[int]:
        """Numbers of these names."""
        return [
            self.tasks.index(task),
            self.checkpoints.index(checkpoint),
            self.datasets.index(dataset),
        ]


class _Prompts:
    """Prompts and gold answers of a dataset's examples.

    Attributes:
        shots: format -> solved examples before each question, if any.
        rows: one per example: gold (text, or number of a choice), choices if any, and prompts
            (format -> text).
        places: example -> its index in ``rows``.
    """

    def __init__(
        self, read: Sequence[tuple[str, str]], cells: Mapping[str, CellRequest], folder: Path
    ):
        formats: dict[str, dict[str, None]] = {}
        for example, name in read:
            formats.setdefault(example, {})[name] = None
        found = {
            row["example_id"]: row
            for row in read_examples(folder / "test.jsonl")
            if row["example_id"] in formats
        }
        if absent := formats.keys() - found.keys():
            raise ValueError(
                f"{folder / 'test.jsonl'}: no example {min(absent)!r}, which was scored; "
                "evaluate the dataset again"
            )
        self.places = {example: place for place, example in enumerate(formats)}
        self.rows = [
            _row(found[name], {f: cells[f] for f in asked}) for name, asked in formats.items()
        ]
        pool = read_all(folder / "shots.jsonl") if any(c.drawn for c in cells.values()) else []
        self.shots = {
            name: cut(shots_text(cell.template, cell_shots(cell, pool)), PROMPT)
            for name, cell in cells.items()
            if cell.drawn
        }


def _row(example: Mapping, cells: Mapping[str, CellRequest]) -> dict[str, Any]:
    prompts = {name: cut(prompt(cell.template, example), PROMPT) for name, cell in cells.items()}
    if "choices" not in example:
        return {"gold": cut(example["gold"], ANSWER), "prompts": prompts}
    choices = [cut(choice, ANSWER) for choice in example["choices"]]
    return {"gold": example["gold"], "choices": choices, "prompts": prompts}


def prompt(template: str, example: Mapping) -> str:
    """The prompt of an example, after its shots; a blank in place of each choice."""
    if "continuation" not in example:
        return render(template, example["fields"])
    context = render(template, {**example["fields"], CHOICE: "____"})
    return context + completion(example["continuation"])


def cut(text: str, most: int) -> str:
    """A text, without its middle if it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end]} […{len(text) - most}…] {text[-end:]}"


def _card(pick: Pick, names: _Names, row: int, chosen: bool) -> list:
    """[group, task, checkpoint, dataset, row, answers]: see :func:`_answer`."""
    place = names.of(pick.task, pick.checkpoint, pick.dataset)
    answers = [
        [names.arms.index(arm), name, *_answer(answer, chosen)]
        for arm, name, answer in pick.answers
    ]
    return [GROUPS.index(pick.group), *place, row, answers]


def _answer(answer: Mapping[str, Any], chosen: bool) -> list:
    """[answer, score, whether the prompt was cut]; for labels and choices also
    [share of the answer, share of the gold one, log-probability of the gold one].

    The answer of a choice is its number. Shares are probabilities among the labels or choices; if
    the metric is not plain log-likelihood, the answer need not have the largest.
    """
    text = answer["prediction"]
    said = int(text) if chosen else cut(text, ANSWER)
    head = [said, round(answer["score"], 3), int(answer["truncated"])]
    gold = answer["gold_logprob"]
    if gold is None:
        return head
    all_of_them = np.logaddexp.reduce(answer["logprobs"])
    shares = [np.exp(value - all_of_them) for value in (answer["prediction_logprob"], gold)]
    return [*head, *(round(float(share), 3) for share in shares), round(gold, 2)]
