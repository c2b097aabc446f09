"""How often intervals of what is gained and kept hold the truth.

Studies whose front is known are made up (`coverage_draws.py`) and go through the functions that
make tables `tradeoff` and `equal_gain`. To repeat, delete
`benchmarks/results/coverage-remedies.json` and call `python benchmarks/coverage_remedies.py`.
docs/analysis.md says what to make of it.
"""

from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from coverage_draws import (
    answers,
    chunks,
    generator,
    made_up_scores,
    measure_parts,
    settings,
    spread_means,
)
from frame import RESULTS

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import bounded_change
from ptft.analysis.tables.remedies import (
    Points,
    Versions,
    compared,
    equal_gain,
    points_of,
    tradeoff,
)
from ptft.runtime.programs import program

STUDIES = settings(n=(120, 2000), seeds=(1, 3), spread=(0.0, 2.0))
"""examples, seeds, and how far seeds differ, in standard errors"""
# True scores on the task's own test set and on two of other families, the base model's first.
BASE = (0.5, 0.8, 0.6)
MODELS = {
    ("full", None, None): (0.9, 0.4, 0.45),
    ("lora", None, None): (0.8, 0.6, 0.5),
    ("full", "interpolate", 0.5): (0.85, 0.7, 0.55),
}
NAMES = ("own", "one", "other")
DOMAINS = {"own": "in", "one": "cross", "other": "cross"}
SETTINGS = Settings()


def remedy_coverage(setting: dict, draws: int, seed: int) -> dict[str, float]:
    """Share of the draws in which a 95 % interval of tables `tradeoff` and `equal_gain` holds.

    With one seed the truth is that of the tuned models, with several that of the methods. ``gain``
    and ``kept`` are means over the three models; ``spared`` is told of each method.
    """
    rng = generator(seed, setting)
    held: dict[str, list[np.ndarray]] = {}
    for part, size in chunks(draws):
        scores, truths = _made_up(setting, size, part, rng)
        for name, inside in _held(scores, truths, size).items():
            held.setdefault(name, []).append(inside)
    return {name: float(np.concatenate(inside).mean()) for name, inside in held.items()}


def _made_up(
    setting: dict, size: int, part: int, rng: np.random.Generator
) -> tuple[Scores, dict[str, np.ndarray]]:
    """Studies, and the true scores (size, 1 + models) on each data set."""
    n, seeds = setting["n"], setting["seeds"]
    columns: list[dict] = [{}]
    for (method, derived, strength), seed in product(MODELS, range(seeds)):
        columns.append({"method": method, "derived": derived, "strength": strength, "seed": seed})
    scored, truths = {}, {}
    for at, name in enumerate(NAMES):
        means, true = [np.full((size, 1), BASE[at])], [np.full((size, 1), BASE[at])]
        for model in MODELS.values():
            error = np.sqrt(model[at] * (1 - model[at]) / n)
            own = spread_means(rng, model[at], setting["spread"] * error, (size, seeds))
            means.append(own)
            true.append(own if seeds == 1 else np.full((size, 1), model[at]))
        scored[name] = answers(rng, np.concatenate(means, axis=1), n)
        truths[name] = np.concatenate(true, axis=1)
    return made_up_scores(scored, part, columns, DOMAINS), truths


def _held(scores: Scores, truths: dict[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Which intervals hold the truth."""
    points = points_of(scores, SETTINGS)
    table = points.table
    study = table["train_task"].str.tail(5).cast(int).to_numpy()
    keys = list(MODELS)
    model = np.array([1 + keys.index(key) for key in table.select(
        "method", "derived", "strength").iter_rows()])  # fmt: skip
    true = {name: (value[study, model], value[study, 0]) for name, value in truths.items()}
    gain = np.subtract(*true["own"])
    kept = np.mean([bounded_change(*true[name]) for name in NAMES[1:]], axis=0)
    rows = tradeoff(scores, SETTINGS)
    held = {"gain": _inside(rows, "gain", gain), "kept": _inside(rows, "kept", kept)}
    known = Points(table, _exact(gain, points.gain), _exact(kept, points.kept))
    spared = np.array([found.spared[0] for found in compared(known, SETTINGS)])
    compared_rows = equal_gain(scores, SETTINGS)
    inside = _inside(compared_rows, "spared", spared)
    for method, derived in (("lora", None), ("full", "interpolate")):
        own = (
            (compared_rows["method"] == method)
            & compared_rows["derived"].eq_missing(derived)
            & compared_rows["spared_ci_low"].is_not_null()
        ).to_numpy() & ~np.isnan(spared)
        held[f"spared, {derived or method}"] = inside[own]
    return held


def _exact(values: np.ndarray, like: Versions) -> Versions:
    """True values in the place of every version."""
    return Versions(np.repeat(values[:, None], like.values.shape[1], axis=1), like.draws)


def _inside(rows: pl.DataFrame, name: str, truth: np.ndarray) -> np.ndarray:
    """Whether each row's interval of ``name`` holds the truth (N,)."""
    low, high = (rows[f"{name}_ci_{end}"].cast(float).to_numpy() for end in ("low", "high"))
    return (low <= truth + 1e-9) & (truth - 1e-9 <= high)


PARTS = {"remedies": (STUDIES, remedy_coverage)}


@program
def main(
    seed: int = 0, draws: int = 1000, output: Path = RESULTS / "coverage-remedies.json"
) -> None:
    """Draw, print and write the shares; a call that was killed goes on."""
    measure_parts(PARTS, seed, draws, output)
