"""The page of the paper's grid: made-up answers, texts as long as the datasets' own."""

import functools
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from ptft.analysis.collect import CELLS_SCHEMA, study_cells
from ptft.analysis.examples import DRAWN, Answers, pick_examples
from ptft.analysis.settings import Settings
from ptft.data.jsonl import write_examples
from ptft.evaluation.cells import cells_of_plan
from ptft.prompts.templates import template_fields
from ptft.report.examples import examples_data, examples_page
from ptft.study import read_study
from ptft.study.slices import collection_slice, evaluation_slice

MOST = 3_000_000
ROWS = 400
# Characters of a test example: its fields, its answer (of generations) or all choices.
LENGTHS = {
    "arc_challenge": (134, 117), "arc_easy": (115, 84), "boolq": (616, 5),
    "cnn_dailymail": (1964, 246), "gpt3_nli": (132, 0), "hellaswag": (205, 539),
    "llmbar_gptinst": (2201, 20), "llmbar_gptout": (605, 20), "llmbar_manual": (1623, 20),
    "llmbar_natural": (748, 20), "llmbar_neighbor": (894, 20), "mnli_matched": (172, 0),
    "mnli_mismatched": (172, 0), "openbookqa": (57, 76), "paws": (228, 0), "qqp": (117, 0),
    "rte": (307, 0), "sciq": (494, 44), "sciq_question": (421, 79), "socialiqa": (97, 31),
    "stsb": (122, 0), "tweetqa": (114, 39), "xlsum": (1685, 122), "xsum": (1521, 124),
}  # fmt: skip
"""means over real rows"""
WORDS = ["child", "walked", "to", "harbour’s", "market,", "said:", "naïve", '"men"', "ran", "<br>"]


def text(characters, random):
    """Words of about so many characters in all."""
    return " ".join(random.choices(WORDS, k=characters // 6 + 1))


def made_up(dataset, cell, random):
    """Prepared examples of a dataset."""
    about, length = LENGTHS[dataset]
    fields = template_fields(cell.template)
    for number in range(ROWS):
        example = {
            "example_id": f"{dataset}-test-{number}",
            "fields": {name: text(about // len(fields), random) for name in fields},
        }
        if cell.kind == "multiple_choice":
            choices = [text(length // 4, random) for _ in range(4)]
            yield example | {"gold": number % 4, "choices": choices}
        else:
            yield example | {"gold": (cell.labels or [text(length, random)])[number % 2 - 1]}


def answers(cell, golds, rng):
    """Answers at random: no two models agree, and hardly an example is shown twice."""
    order = rng.permutation(ROWS)
    logprobs, scores = [None] * ROWS, rng.beta(1, 3, ROWS)
    said = [golds[i] for i in order]
    if cell.kind != "generation":
        drawn = rng.normal(-9, 4, (ROWS, len(cell.labels or range(4))))
        names = cell.labels or [str(choice) for choice in range(4)]
        said, logprobs = [names[i] for i in drawn.argmax(1)], drawn.tolist()
        scores = np.array([float(a == b) for a, b in zip(said, golds, strict=True)])
    frame = pl.DataFrame(
        {
            "example_id": [f"{cell.dataset}-test-{number}" for number in range(ROWS)],
            **{"prediction": said, "gold": golds, "score": scores},
            "logprobs": pl.Series(logprobs, dtype=pl.List(pl.Float64)),
            "truncated": [False] * ROWS,
        }
    )
    return Answers(frame, cell.labels)


@pytest.mark.slow
def test_the_page_of_the_papers_grid_is_under_three_megabytes(repository, tmp_path):
    file = repository / "config/olmo-1b.yaml"
    grid = read_study(yaml.safe_load(file.read_text()), [file], repository / "config")
    asked = list(cells_of_plan(evaluation_slice(grid)))
    requests = {(cell.dataset, cell.format): cell for cell in asked}
    golds = {}
    for dataset in grid.datasets:
        cell, folder = requests[dataset, "default"], tmp_path / dataset
        folder.mkdir()
        rows = list(made_up(dataset, cell, random.Random(dataset)))
        golds[dataset] = [str(row["gold"]) for row in rows]
        for split in ("test", "shots"):
            write_examples(rows, folder / f"{split}.jsonl")
    study = collection_slice(grid)
    cells = pl.DataFrame([about(study, cell) for cell in study_cells(study)], CELLS_SCHEMA)
    arms = cells.filter(pl.col("arm") != "base").select("checkpoint", "arm").unique()
    arms = arms.with_columns(chosen=pl.lit(None, pl.Boolean))
    rng = np.random.default_rng(0)

    @functools.cache
    def answered(dataset, number):
        return answers(requests[dataset, "default"], golds[dataset], rng)

    def reader(dataset, shots):
        # A model's answers are one of so many; hardly two models of a checkpoint agree.
        return lambda *cell: answered(dataset, random.Random("-".join(cell)).randrange(8))

    picked = pick_examples(cells, arms, Settings(), reader, 42)
    data = examples_data(picked, asked, Path(tmp_path))
    size = len(examples_page(data, 42).encode())
    assert {len(data["tasks"]), len(data["arms"]) - 1} == {5} and len(data["checkpoints"]) == 8
    # Labels and choices change in every group; all are full but for what no remedy changes.
    assert len(data["cards"]) == 5 * 24 * 3 * DRAWN + 5 * len(several(grid)) * DRAWN
    assert size < MOST, f"{size:,} bytes"


def several(grid):
    """Datasets that are scored in more than one format."""
    return [dataset for dataset in grid.datasets if len(grid.formats(dataset)) > 1]


def about(study, cell):
    """What the cells table says of a cell."""
    checkpoint, arm, dataset, name, shots = cell
    made = study["arms"][arm]
    return {
        "checkpoint": checkpoint,
        **study["checkpoints"][checkpoint],
        "arm": arm,
        **{key: made[key] for key in ("method", "train_task", "seed")},
        "dataset": dataset,
        "kind": study["datasets"][dataset]["kind"],
        "format": name,
        "shots": shots,
        "main": True,
    }
