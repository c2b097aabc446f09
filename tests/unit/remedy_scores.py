"""Made-up studies of remedies: models whose gain and forgetting are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from score_tables import cell

from ptft.analysis.cell_scores import replicate_table
from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.scores import Scores
from ptft.analysis.statistics import bootstrap_means

OWN, OTHER = "own_set", "other_set"


@dataclass(frozen=True)
class Model:
    """One arm without its seed, and its true scores on its own set and the other, by checkpoint."""

    own: Sequence[float]
    other: Sequence[float]
    method: str | None = "full"
    swept: str | None = None
    setting: str | None = None
    derived: str | None = None
    strength: float | None = None
    seeds: Sequence[int] = (0,)

    @property
    def name(self) -> str:
        parts = [self.method or "base", self.setting, self.derived and f"@{self.derived}"]
        return ".".join(map(str, [*filter(None, parts), self.strength or ""]))


def remedy_scores(
    models: Sequence[Model], n: int, rng: np.random.Generator, spread=0.0, resamples=300
) -> Scores:
    """Scores of right-or-wrong answers to n examples a set, drawn around the true scores.

    Models of one seed and checkpoint share its luck: ``spread`` is the standard deviation of what
    a seed adds to the true scores of a tuned model.
    """
    rows, replicates = [], []
    for name in (OWN, OTHER):
        ease = rng.random(n)  # the same examples are hard for all models, as in real cells
        answers = []
        for model in models:
            truths = model.own if name == OWN else model.other
            for index, truth in enumerate(truths):
                for seed in model.seeds if model.method else [None]:
                    luck = np.random.default_rng([int(1e6 * spread), index, seed or 0, name == OWN])
                    moved = truth + (spread * luck.standard_normal() if model.method else 0.0)
                    mixed = np.where(rng.random(n) < 0.5, ease, rng.random(n))
                    answers.append((mixed < moved).astype(float))
                    rows.append(_row(model, index, seed, name, answers[-1]))
        replicates.append(bootstrap_means(np.array(answers).T, resamples, seed=len(name)).T)
    cells = pl.DataFrame(rows, schema=CELLS_SCHEMA)
    return Scores.build(cells, replicate_table(cells, np.concatenate(replicates)))


def _row(model: Model, index: int, seed: int | None, dataset: str, answers: np.ndarray) -> dict:
    task = "nli" if model.method else None
    domain = "base" if task is None else ("in" if dataset == OWN else "cross")
    return cell(
        checkpoint=f"step{index}", step=index, tokens=index, arm=f"{model.name}.s{seed}",
        method=model.method, train_task=task, swept=model.swept, setting=model.setting, seed=seed,
        derived=model.derived, strength=model.strength, family=dataset.split("_")[0],
        dataset=dataset, domain=domain, metric="accuracy", value=answers.mean(),
        stderr=answers.std() / np.sqrt(len(answers)), n=len(answers),
    )  # fmt: skip
