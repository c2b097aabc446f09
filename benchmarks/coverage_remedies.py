"""How often intervals of what is gained and kept hold the truth, and declines are claimed wrongly.

Studies whose front is known are made up (`coverage_draws.py`) and go through the functions that
make tables `tradeoff`, `equal_gain` and `overtraining`. To repeat, delete
`benchmarks/results/coverage-remedies.json` and call `python benchmarks/coverage_remedies.py`.
docs/analysis.md says what to make of it.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from coverage import REPOSITORY, chunks, made_up_scores, measure_parts
from coverage_draws import answers, generator, spread_means

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import bounded_change
from ptft.analysis.tables.overtraining import overtraining
from ptft.analysis.tables.remedies import (
    TARGETS,
    Points,
    Versions,
    compared,
    equal_gain,
    points_of,
    tradeoff,
)

SIZES, SEEDS, SPREADS = (120, 2000), (1, 3), (0.0, 2.0)
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
# Checkpoints of a curve, all as good, or with the third one better by this much.
CHECKPOINTS, LEADS = 8, (0.0, 0.1)
CURVE = (0.5, 0.7)
"""score of the base model and of the tuned one at the other checkpoints"""


def remedy_settings() -> list[dict]:
    """Settings of :func:`remedy_coverage`: examples, seeds, and how far seeds differ (SEs)."""
    return [
        {"n": n, "seeds": seeds, "spread": spread}
        for n, seeds, spread in product(SIZES, SEEDS, SPREADS)
    ]


def remedy_coverage(setting: dict, draws: int, seed: int) -> dict[str, float]:
    """Share of the draws in which a 95 % interval of tables `tradeoff` and `equal_gain` holds.

    With one seed the truth is that of the tuned models, with several that of the methods. ``gain``
    and ``kept`` are means over the three models; ``spared`` is told of each target and method.
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
    spared = np.array([found.versions["spared"][0] for found in compared(known, SETTINGS)])
    compared_rows = equal_gain(scores, SETTINGS)
    inside = _inside(compared_rows, "spared", spared)
    for target, (method, derived) in product(TARGETS, [("lora", None), ("full", "interpolate")]):
        own = (
            (compared_rows["target"] == target)
            & (compared_rows["method"] == method)
            & compared_rows["derived"].eq_missing(derived)
            & compared_rows["spared_ci_low"].is_not_null()
        ).to_numpy() & ~np.isnan(spared)
        name = f"spared, {target}, {derived or method}"
        if own.mean() * len(own) >= size / 2:  # reached in most studies
            held[name] = inside[own]
    return held


def _exact(values: np.ndarray, like: Versions) -> Versions:
    """True values in the place of every version."""
    return Versions(np.repeat(values[:, None], like.values.shape[1], axis=1), like.draws)


def _inside(rows: pl.DataFrame, name: str, truth: np.ndarray) -> np.ndarray:
    """Whether each row's interval of ``name`` holds the truth (N,)."""
    low, high = (rows[f"{name}_ci_{end}"].cast(float).to_numpy() for end in ("low", "high"))
    return (low <= truth + 1e-9) & (truth - 1e-9 <= high)


def decline_settings() -> list[dict]:
    """Settings of :func:`decline_rates`; one seed that differs makes models that truly differ."""
    alike = [one for one in remedy_settings() if one["seeds"] > 1 or one["spread"] == 0]
    return [setting | {"lead": lead} for setting, lead in product(alike, LEADS)]


def decline_rates(setting: dict, draws: int, seed: int) -> dict[str, float]:
    """Of curves of eight checkpoints: how often a decline is claimed, and its limit holds.

    ``claimed``: the share of the draws with p at most 5 %, by measure; ``held``: in which drop_low
    is at most the true drop of the best checkpoint by its score.
    """
    rng = generator(seed, setting)
    claimed: dict[str, int] = {}
    held: dict[str, int] = {}
    for part, size in chunks(draws):
        table, truth = _curves(setting, size, part, rng)
        for (measure,), rows in table.sort("train_task").group_by("measure"):
            best = rows["best_checkpoint"].str.strip_prefix("step").cast(int).to_numpy() - 1
            drop = truth[np.arange(size), best] - truth[:, -1]
            claimed[measure] = claimed.get(measure, 0) + int((rows["p"] <= 0.05).sum())
            if measure != "kept":
                low = rows["drop_low"].to_numpy()
                held[measure] = held.get(measure, 0) + int((low <= drop + 1e-9).sum())
    shares = {f"claimed, {name}": count / draws for name, count in sorted(claimed.items())}
    return shares | {f"held, {name}": count / draws for name, count in sorted(held.items())}


def _curves(
    setting: dict, size: int, part: int, rng: np.random.Generator
) -> tuple[pl.DataFrame, np.ndarray]:
    """Table `overtraining` of studies, and the tuned models' true scores (size, checkpoints)."""
    n, seeds = setting["n"], setting["seeds"]
    base, tuned = CURVE
    columns, means, true = [], [], []
    error = setting["spread"] * np.sqrt(tuned * (1 - tuned) / n)
    for step in range(1, CHECKPOINTS + 1):
        mean = tuned + (setting["lead"] if step == 3 else 0.0)
        models = spread_means(rng, mean, error, (size, seeds))
        columns += [{"step": step}]
        columns += [{"step": step, "method": "full", "seed": seed} for seed in range(seeds)]
        means += [np.full((size, 1), base), models]
        true.append(models[:, 0] if seeds == 1 else np.full(size, mean))
    own = np.concatenate(means, axis=1)
    scored = {name: answers(rng, own, n) for name in ("own", "one")}
    scores = made_up_scores(scored, part, columns, DOMAINS)
    return overtraining(scores, SETTINGS), np.column_stack(true)


PARTS = {
    "remedies": (remedy_settings, remedy_coverage),
    "declines": (decline_settings, decline_rates),
}


def main(argv: list[str] | None = None) -> None:
    """Draw, print and write the shares; a call that was killed goes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument(
        "--output", type=Path, default=REPOSITORY / "benchmarks/results/coverage-remedies.json"
    )
    args = parser.parse_args(argv)
    measure_parts(PARTS, args.seed, args.draws, args.output)


if __name__ == "__main__":
    main()
