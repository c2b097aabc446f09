"""How often tests of a trend reject what is true, and how often intervals hold it.

Studies whose truth is known are made up (`coverage_draws.py`) and go through the functions that
the tables use: bootstrap, confidence draws, `line_trend`, `kendall_trend`, `Scores`, `Estimates`.
To repeat, delete `benchmarks/results/coverage.json` and call `python benchmarks/coverage.py`; each
number there is a share of the draws. docs/analysis.md says what to make of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from coverage_draws import (
    ANSWERS,
    ROUGE,
    answers,
    example_variance,
    generator,
    spread_means,
    walking_means,
)

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from ptft.analysis.cell_scores import replicate_table  # noqa: E402
from ptft.analysis.collect import CELLS_SCHEMA  # noqa: E402
from ptft.analysis.estimates import Changes, Estimates, SeedPart, mean_changes  # noqa: E402
from ptft.analysis.scores import Scores  # noqa: E402
from ptft.analysis.statistics import bootstrap_means, confidence_draws, score_interval  # noqa: E402
from ptft.analysis.trends import kendall_trend, line_trend  # noqa: E402

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
CHUNK = 200
TREND_RESAMPLES, RESAMPLES = 300, 600


def chunks(draws: int) -> Iterator[tuple[int, int]]:
    """Number and size of each part of the draws that is worked on at once."""
    for i, start in enumerate(range(0, draws, CHUNK)):
        yield i, min(CHUNK, draws - start)


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


def made_up_scores(
    scored: dict[str, np.ndarray],
    seed: int,
    models: Sequence[Mapping] = (),
    domains: Mapping[str, str] | None = None,
) -> Scores:
    """Studies as ``Scores``: a task each, a dataset for each key with scores (D, M, n).

    Args:
        models: what is known of each of the M models, in the words of table `cells`; where not
            given a base model, then full fine-tuning with M - 1 seeds.
        domains: of a key's datasets for the tuned models.
    """
    count = next(iter(scored.values())).shape[1]
    models = models or [{}, *({"method": "full", "seed": seed} for seed in range(count - 1))]
    frames, replicates = [], []
    for name, drawn in scored.items():
        n = drawn.shape[2]
        flat = drawn.reshape(-1, n)
        replicates.append(bootstrap_means(flat.T, RESAMPLES, seed).T.astype(np.float32))
        study, model = (index.ravel() for index in np.indices(drawn.shape[:2]))
        frames.append(
            pl.DataFrame(
                {
                    "dataset": [f"{name} {i:05}" for i in study],
                    "task": [f"task {i:05}" for i in study],
                    "number": model,
                    "value": flat.mean(axis=1, dtype=float),
                    "stderr": flat.std(axis=1, dtype=float) / np.sqrt(n),
                    "n": np.full(len(flat), n),
                    "tuned_domain": (domains or {}).get(name),
                },
                schema_overrides={"number": pl.Int64, "tuned_domain": pl.String},
            )
        )
    columns = ("method", "seed", "swept", "setting", "derived", "strength", "step")
    about = pl.DataFrame(
        [{name: model.get(name) for name in columns} for model in models],
        schema={name: CELLS_SCHEMA[name] for name in columns},
    ).with_row_index("number").with_columns(pl.col("number").cast(pl.Int64))  # fmt: skip
    base, step = pl.col("method").is_null(), pl.col("step").fill_null(1)
    known = {
        "checkpoint": pl.format("step{}", step), "step": step, "tokens": step,
        "format": pl.lit("default"), "shots": 0, "main": True, "metric": pl.lit("accuracy"),
        "study": pl.lit("made up"),
        "model": pl.lit("made-up"), "train_task": pl.when(~base).then("task"),
        "domain": pl.when(~base).then("tuned_domain"),
        "arm": pl.when(base).then(pl.lit("base")).otherwise(pl.format("{}.{}", "task", "number")),
    }  # fmt: skip
    cells = pl.concat(frames).join(about, on="number", maintain_order="left").with_columns(**known)
    cells = cells.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in CELLS_SCHEMA.items()
        if name not in cells.columns
    ).select(pl.col(name).cast(dtype) for name, dtype in CELLS_SCHEMA.items())  # fmt: skip
    return Scores.build(cells, replicate_table(cells, np.concatenate(replicates)), seed)


PARTS = {
    "trends": (trend_settings, trend_rates),
    "intervals": (interval_settings, coverage),
}


def measure_parts(parts: Mapping[str, tuple], seed: int, draws: int, output: Path) -> None:
    """Write the shares of each part's settings, those excepted that are there already."""
    output.parent.mkdir(parents=True, exist_ok=True)
    asked = {"seed": seed, "draws": draws}
    known = json.loads(output.read_text()) if output.exists() else {}
    result = asked | {part: [] for part in parts}
    if asked.items() <= known.items():
        result |= known
    for part, (settings, measured) in parts.items():
        for setting in settings():
            if not any(setting.items() <= row.items() for row in result[part]):
                result[part].append(setting | measured(setting, draws, seed))
                print(json.dumps(result[part][-1]), flush=True)
                output.write_text(json.dumps(result, indent=1) + "\n")


def main(argv: list[str] | None = None) -> None:
    """Draw, print and write the shares; a call that was killed goes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument(
        "--output", type=Path, default=REPOSITORY / "benchmarks/results/coverage.json"
    )
    args = parser.parse_args(argv)
    measure_parts(PARTS, args.seed, args.draws, args.output)


if __name__ == "__main__":
    main()
