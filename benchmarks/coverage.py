"""How often tests of a trend reject what is true, and how often intervals hold it.

Studies whose truth is known are made up (`coverage_draws.py`) and go through the functions that
the tables use: bootstrap, confidence draws, `line_trend`, `kendall_trend`, `Scores`, `Estimates`.
To repeat, delete `benchmarks/results/coverage.json` and call `python benchmarks/coverage.py`; each
number there is a share of the draws. docs/analysis.md says what to make of it.
"""

from itertools import product
from pathlib import Path

import numpy as np
from coverage_draws import (
    ANSWERS,
    ROUGE,
    answers,
    chunks,
    example_variance,
    generator,
    made_up_scores,
    measure_parts,
    spread_means,
    walking_means,
)
from frame import RESULTS

from ptft.analysis.estimates import Changes, Estimates, SeedPart, mean_changes
from ptft.analysis.statistics import bootstrap_means, confidence_draws, score_interval
from ptft.analysis.trends import kendall_trend, line_trend
from ptft.runtime.programs import program

CHECKPOINTS, SIZES, SEEDS, SCORES = (4, 6, 8, 12), (120, 2000), (1, 3, 5), (0.02, 0.5, 0.99)
ROUGE_SCORE = 0.3
SCATTERS = (0.0, 0.05)
# What checkpoints may do without a trend: scatter about one score, the same examples easy or hard
# for all; keep their true score, but find other examples hard; wander.
SCATTER, DRIFT, WALK = "scatter", "examples drift", "random walk"
OTHERS = {DRIFT: 0.0, WALK: 0.05}
# Standard deviation between seeds, in standard errors of a score: none, and four fifths of all.
SPREADS = (0.0, 2.0)
ALPHA = 0.05
TREND_RESAMPLES = 300


def trend_settings() -> list[dict]:
    """Settings of :func:`trend_rates`: what the checkpoints do, and by what standard deviation."""
    scattered = [
        {"null": SCATTER, "checkpoints": k, "n": n, "score": score, "sd": scatter}
        for k, n, score, scatter in product(CHECKPOINTS, SIZES, SCORES, SCATTERS)
    ]
    others = [
        {"null": null, "checkpoints": k, "n": n, "score": 0.5, "sd": sd}
        for (null, sd), k, n in product(OTHERS.items(), CHECKPOINTS, SIZES)
    ]
    return scattered + others


def trend_rates(setting: dict, draws: int, seed: int) -> dict[str, float]:
    """Share of the draws without drift in which either test finds a trend at 5 %."""
    rng = generator(seed, setting)
    k, n, score = setting["checkpoints"], setting["n"], setting["score"]
    found = {"line": 0, "kendall": 0}
    for part, size in chunks(draws):
        means = walking_means if setting["null"] == WALK else spread_means
        truth = means(rng, score, setting["sd"], (size, k))
        scored = answers(rng, truth, n, drift=setting["null"] == DRIFT).reshape(-1, n)
        values, drawn = confidence(scored, TREND_RESAMPLES, part)
        for curve, draw in zip(values.reshape(size, k), drawn.reshape(size, k, -1), strict=True):
            found["line"] += line_trend(range(k), curve, draw).p <= ALPHA
            found["kendall"] += kendall_trend(curve.tolist())[1] <= ALPHA
    return {test: int(count) / draws for test, count in found.items()}


def confidence(scored: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of scores (C, n) and their confidence draws (C, R)."""
    n = scored.shape[1]
    values, variance = scored.mean(axis=1, dtype=float), scored.var(axis=1, dtype=float) / n
    replicates = bootstrap_means(scored.T, resamples, seed).T.astype(np.float32)
    noise = np.random.default_rng(seed).standard_normal(replicates.shape, dtype=np.float32)
    return values, confidence_draws(values, variance, np.full(len(values), n), replicates, noise)


def interval_settings() -> list[dict]:
    """Settings of :func:`coverage`."""
    scores = [*product([ANSWERS], SCORES, SPREADS), (ROUGE, ROUGE_SCORE, SPREADS[-1])]
    return [
        {"kind": kind, "n": n, "score": score, "seeds": seeds, "spread": spread}
        for n, (kind, score, spread), seeds in product(SIZES, scores, SEEDS)
    ]


def coverage(setting: dict, draws: int, seed: int) -> dict[str, float]:
    """Share of the draws in which a 95 % interval holds the truth.

    ``tuned``: score of the tuned models; ``difference``: from a base model that is as good;
    ``gain``: from a base model at 0.5 (0.3 for scores like ROUGE); ``mean``: of these two. They are
    about the method. With one seed, those that end in ``_of_model`` are about that tuned model;
    ``cell``: the interval of its score in table `cells`.
    """
    rng = generator(seed, setting)
    held: dict[str, int] = {}
    for part, size in chunks(draws):
        for name, inside in _covered(setting, size, part, rng).items():
            held[name] = held.get(name, 0) + int(inside.sum())
    return {name: count / draws for name, count in held.items()}


def _covered(
    setting: dict, size: int, part: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Which of ``size`` studies' intervals hold the truth."""
    n, score, seeds, kind = (setting[key] for key in ("n", "score", "seeds", "kind"))
    middle = 0.5 if kind == ANSWERS else 0.3
    error = np.sqrt(example_variance(kind, score) / n)
    models = spread_means(rng, score, setting["spread"] * error, (size, seeds))
    bases = {"alike": score, "middle": middle}
    scored = {
        name: answers(rng, np.column_stack([np.full(size, base), models]), n, kind)
        for name, base in bases.items()
    }
    scores = made_up_scores(scored, part)
    pairs = scores.pairs().sort("dataset", "train_task")
    changes = Changes.of(scores, pairs)
    rows = pairs["row"].to_numpy()
    levels = Estimates(
        pairs["value"].to_numpy(), scores.draws[rows], SeedPart.of(scores.by_seed[rows])
    )
    alike, of_middle = (slice(0, size), slice(size, None))
    means = mean_changes(pairs, changes, ["train_task"])[1]
    intervals = {
        "tuned": [limit[alike] for limit in levels.interval()[1:]],
        "difference": [limit[alike] for limit in changes.estimates.interval()[1:]],
        "gain": [limit[of_middle] for limit in changes.estimates.interval()[1:]],
        "mean": means.interval()[1:],
    }
    less = {"tuned": 0.0, "difference": score, "gain": middle, "mean": (score + middle) / 2}
    truths = {name: np.full(size, score - less[name]) for name in intervals}
    if seeds == 1:
        truths |= {f"{name}_of_model": models[:, 0] - less[name] for name in intervals}
        one = scored["alike"][:, 1].astype(float)
        intervals["cell"] = score_interval(one.mean(1), one.var(1) / n, np.full(size, n))
        truths["cell"] = models[:, 0]
    held = {}
    for name, truth in truths.items():
        low, high = intervals[name.removesuffix("_of_model")]
        held[name] = (low <= truth) & (truth <= high)
    return held


PARTS = {
    "trends": (trend_settings(), trend_rates),
    "intervals": (interval_settings(), coverage),
}


@program
def main(seed: int = 0, draws: int = 2000, output: Path = RESULTS / "coverage.json") -> None:
    """Draw, print and write the shares; a call that was killed goes on."""
    measure_parts(PARTS, seed, draws, output)
