"""How often a study's first page claims something false, and how often it finds what is there.

Whole studies are made up, with nothing to find or with a planted gain and loss, and go through the
bootstrap and table `claims`. To repeat, delete `benchmarks/results/coverage-pages.json` and call
`python benchmarks/coverage_pages.py`. docs/analysis.md has the shares.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from coverage_draws import (
    ANSWERS,
    RESAMPLES,
    ROUGE,
    answers,
    cell,
    generator,
    measure_parts,
    settings,
)
from frame import RESULTS
from scipy.stats import binomtest

from ptft.analysis.cell_scores import replicate_table
from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import bootstrap_means
from ptft.analysis.tables.claims import claims
from ptft.analysis.tables.forgetting import SMALLEST, bounded_change
from ptft.runtime.programs import program

CHECKPOINTS, METHODS, FORMATS = 4, ("full", "lora"), ("default", "io")
STUDIES = settings(planted=(False, True), n=(120, 1000), seeds=(1, 3), scatter=(0.0, 0.03))
"""planted or not, examples, seeds, scatter between models"""
# Dataset: family, kind, chance, score of all models where nothing is to be found.
DATASETS = {
    "nli": ("nli", "classification", 1 / 3, 0.6),
    "pairs": ("paraphrase", "classification", 0.5, 0.5),
    "story": ("summarization", "generation", None, 0.3),
    "quiz": ("multiple_choice", "multiple_choice", 0.25, 0.6),
}
TASKS = ("nli", "pairs", "story")
GAIN, LOSS, SPARED = 0.2, 0.2, 0.5
"""planted: on own test sets, elsewhere, and the share of the loss that LoRA spares"""
PLANTED = {"gain": "rises", "headroom": "falls", "spared": "rises"}
"""what is planted -> the verdict that claims it"""
SETTINGS = Settings()
Model = tuple[int, str | None, str | None]
"""checkpoint, method, task; a base model has neither"""
Truth = dict[tuple[Model, str, str], float]
"""Of a model, dataset and format: the model's true score (one seed), or its method's mean."""


def page_rates(setting: dict, draws: int, seed: int) -> dict:
    """Counts of so many studies, and limits (95 %, Clopper and Pearson 1934) of wrong shares."""
    counts: Counter[str] = Counter()
    for study in range(draws):
        counts.update(judged(setting, study, seed))
    limits = {
        name: [round(end, 4) for end in binomtest(counts[name], draws).proportion_ci()]
        for name in ("wrong boxes", "wrong pages")
    }
    return dict(sorted(counts.items())) | {"limits": limits}


def judged(setting: dict, study: int, seed: int) -> Counter[str]:
    """Whether a study's box (claims) or page (with trends) says something untrue.

    And of planted studies: how many gains, mean losses elsewhere, and savings of LoRA there are,
    and how many of them are claimed.
    """
    scores, truth = made_up_study(setting, generator(seed, setting | {"study": study}), study)
    found = Counter(studies=1)
    false = {"box": False, "trend": False}
    for row in claims(scores, SETTINGS).iter_rows(named=True):
        if row["claim"] == "trend":
            false["trend"] |= not setting["planted"] and row["verdict"] != "undecided"
            continue
        true = true_value(row, truth)
        false["box"] |= is_false(row, true)
        name = "spared" if row["question"] == "spared" else row["claim"]
        if setting["planted"] and name in PLANTED and abs(true) > 0.05:
            found[f"{name}, planted"] += 1
            found[f"{name}, claimed"] += row["verdict"] == PLANTED[name]
    found["wrong boxes"] = int(false["box"])
    found["wrong pages"] = int(false["box"] or false["trend"])
    return found


def is_false(row: Mapping, true: float) -> bool:
    """Whether what a row says is untrue."""
    verdict, margin = row["verdict"], row["margin"] or 0.0
    return {
        "rises": true <= 1e-9,
        "only tuned": true <= 1e-9,
        "falls": true >= -1e-9,
        "flat": abs(true) >= margin,
        "earlier": true < -margin,
        "undecided": False,
    }[verdict]


def true_value(row: Mapping, truth: Truth) -> float:
    """The number that a claim is about."""
    last, method, task, dataset = CHECKPOINTS, row["method"], row["train_task"], row["dataset"]

    def score(at: int, method: str | None, task: str | None, name: str, form: str = "default"):
        return truth[(at, method, task), name, form]

    claim = row["claim"]
    guess = DATASETS[dataset][2] if dataset else None
    if claim == "rise":
        return score(last, None, None, dataset) - score(1, None, None, dataset)
    if claim.endswith("above guessing"):
        return score(last, method, task, dataset) - (guess or 0.0)
    if claim == "gain":
        return score(last, method, task, dataset) - score(last, None, None, dataset)
    if claim == "mean gain":
        own = row["datasets"].split()
        return float(np.mean([score(last, method, d, d) - score(last, None, None, d) for d in own]))
    if claim in ("tuned rise", "excess"):
        rise = score(last, method, task, dataset) - score(1, method, task, dataset)
        base = score(last, None, None, dataset) - score(1, None, None, dataset)
        return rise - base if claim == "excess" else rise
    if claim == "gap":
        own = (last, method, task, dataset)
        return score(*own, row["format"]) - score(*own)
    if claim in ("drop", "stop"):
        curve = [score(at, method, task, task) for at in range(1, last + 1)]
        stop = int(row["checkpoint"].removeprefix("step")) - 1
        best = max(curve[:-1]) if claim == "drop" else min(curve[stop:-1])
        return best - curve[-1]
    if claim == "headroom":
        return _mean_loss(row, truth)
    return _kept(row, truth)


def _mean_loss(row: Mapping, truth: Truth) -> float:
    start = row["direction"].split(">")[0]
    tasks = [t for t in TASKS if ("generation" in DATASETS[t][1]) == (start == "generation")]
    changes = []
    for task, dataset in product(tasks, row["datasets"].split()):
        if task != dataset:
            base = truth[(CHECKPOINTS, None, None), dataset, "default"]
            tuned = truth[(CHECKPOINTS, row["method"], task), dataset, "default"]
            floor = DATASETS[dataset][2] or 0.0  # by luck a score at chance counts as above it
            changes.append(max((tuned - base) / max(base - floor, SMALLEST), -1.0))
    return float(np.mean(changes))


def _kept(row: Mapping, truth: Truth) -> float:
    """A method's lead over full fine-tuning in what is kept."""
    task, kept = row["train_task"], {}
    for method in (row["method"], "full"):
        others = [name for name in DATASETS if name != task]
        tuned, base = (
            np.array([truth[(CHECKPOINTS, *arm), name, "default"] for name in others])
            for arm in ((method, task), (None, None))
        )
        kept[method] = bounded_change(tuned, base).mean()
    return kept[row["method"]] - kept["full"]


def made_up_study(setting: dict, rng: np.random.Generator, seed: int) -> tuple[Scores, Truth]:
    """A study of base models and of two methods, and its true scores."""
    truth: Truth = {}
    rows, columns = [], []
    arms = [(None, None), *product(METHODS, TASKS)]
    for dataset, (_, kind, _, _) in DATASETS.items():
        keys, means = [], []
        for at, (method, task), form in product(range(1, CHECKPOINTS + 1), arms, FORMATS):
            if form != "default" and task not in (None, dataset):
                continue
            mean, models = _true_scores(setting, method, task, dataset, rng)
            truth[(at, method, task), dataset, form] = mean
            keys += [(at, method, task, form, number) for number in range(len(models))]
            means += list(models)
        scored = answers(
            rng, np.array(means)[None], setting["n"], ROUGE if kind == "generation" else ANSWERS
        )[0]
        columns.append(scored)
        rows += [_row(dataset, key, each) for key, each in zip(keys, scored, strict=True)]
    cells = pl.DataFrame(rows, schema=CELLS_SCHEMA)
    # Answers to different datasets are independent, whatever examples a resample has.
    means = bootstrap_means(np.concatenate(columns).T, RESAMPLES, seed).T
    table = replicate_table(cells, means, gold_share=0.0, prediction_share=0.5)
    return Scores.build(cells, table, seed), truth


def _true_scores(
    setting: dict, method: str | None, task: str | None, dataset: str, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """A claim's subject, and the true score of each seed's model."""
    mean = DATASETS[dataset][3]
    if setting["planted"] and task is not None:
        loss = LOSS * (1 - SPARED if method == "lora" else 1.0)
        floor = (DATASETS[dataset][2] or 0.0) + 0.01
        mean = mean + GAIN if task == dataset else max(mean - loss, min(mean, floor))
    count = setting["seeds"] if method else 1
    models = np.clip(mean + setting["scatter"] * rng.standard_normal(count), 0.01, 0.99)
    return (float(models[0]) if count == 1 else mean), models


def _row(dataset: str, key: tuple, scored: np.ndarray) -> dict:
    at, method, task, form, number = key
    family, kind, chance, _ = DATASETS[dataset]
    return cell(
        scored, checkpoint=f"step{at}", step=at, tokens=10**at,
        arm="base" if method is None else f"{method}.{task}.s{number}", method=method,
        train_task=task, seed=number if method else None, family=family, dataset=dataset,
        kind=kind, format=form, domain="base" if task is None else "in" if task == dataset
        else "cross", chance=chance, truncated=0.0,
    )  # fmt: skip


PARTS = {"pages": (STUDIES, page_rates)}


@program
def main(seed: int = 0, draws: int = 400, output: Path = RESULTS / "coverage-pages.json") -> None:
    """Make studies up and count; a call that was killed goes on."""
    measure_parts(PARTS, seed, draws, output)
