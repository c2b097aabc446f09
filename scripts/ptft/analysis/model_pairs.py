"""Tuned models against their base model, and against each other, in every prompt format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.estimates import Changes, difference, with_interval
from ptft.analysis.scores import ARM, CHECKPOINT, METHOD, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tuned_models import and_chosen
from ptft.paths import cell_path

# Models are compared that share these and one of checkpoint and method.
SHARED = ["train_task", "dataset", "format", "shots"]
# Pairs whose draws are held at once.
CHUNK = 2000


@dataclass(frozen=True)
class ModelPairs:
    """Comparisons that a reader can choose from.

    ``tuned``: one row per checkpoint, arm, dataset and format, numbered in ``model``: base, tuned,
    difference with its interval, and the shares of examples that score higher (gained) and lower
    (lost) than with the base model, null without per-example results.

    ``pairs``: one row per pair of these that differ in checkpoint or method, not both: the numbers
    ``first`` < ``second``, difference = tuned of first - tuned of second, and its interval.
    """

    tuned: pl.DataFrame
    pairs: pl.DataFrame


def model_pairs(scores: Scores, settings: Settings) -> ModelPairs:
    """Compare every tuned model with its base model and with similar tuned models."""
    formats = scores.cells.filter(pl.col("method").is_not_null())["format"].unique().sort()
    tables = [_against_base(scores, settings, name) for name in formats]
    if not tables:
        return ModelPairs(pl.DataFrame(), pl.DataFrame())
    tuned = pl.concat(tables).with_row_index("model")
    pairs = [_differ(part, tuned, scores, settings) for part in _similar(tuned).iter_slices(CHUNK)]
    return ModelPairs(tuned.drop("row"), pl.concat(pairs) if pairs else pl.DataFrame())


def _against_base(scores: Scores, settings: Settings, format_name: str) -> pl.DataFrame:
    """The rows of one format."""
    view = scores.main_view(format_name, settings.shots)
    pairs = view.pairs().sort("index", *ARM, "family", "dataset")
    table = pairs.select(
        *CHECKPOINT, *ARM, "domain", "family", "dataset", "metric", "format", "shots", "n",
        "n_seeds", "base", pl.col("value").alias("tuned"),
        (pl.col("value") - pl.col("base")).alias("difference"), "gained", "lost", "row",
    )  # fmt: skip
    return with_interval(table, Changes.of(view, pairs).estimates, settings.level)


def _similar(tuned: pl.DataFrame) -> pl.DataFrame:
    """Numbers of the pairs that differ only in the checkpoint, or only in the method."""
    keys = ["checkpoint", *METHOD]
    rows = tuned.select("model", *SHARED, *keys)
    others = rows.rename({name: f"other_{name}" for name in ("model", *keys)})
    pairs = rows.join(others, on=SHARED).filter(pl.col("model") < pl.col("other_model"))
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"other_{name}")) for name in METHOD)
    kept = pairs.filter(same | (pl.col("checkpoint") == pl.col("other_checkpoint")))
    return kept.select(
        pl.col("model").cast(pl.Int64).alias("first"),
        pl.col("other_model").cast(pl.Int64).alias("second"),
    ).sort("first", "second")


def _differ(
    pairs: pl.DataFrame, tuned: pl.DataFrame, scores: Scores, settings: Settings
) -> pl.DataFrame:
    """Add the difference of each pair, with its interval."""
    rows = tuned["row"].to_numpy()
    first, second = (rows[pairs[name].to_numpy()] for name in ("first", "second"))
    between = difference(scores, first, second, same_run=False)
    table = pairs.with_columns(pl.Series("difference", between.values, dtype=pl.Float64))
    return with_interval(table, between, settings.level)


COUNTS = {"paired": pl.Float64, "wins": pl.Float64, "losses": pl.Float64}
MODEL = ["checkpoint", *ARM]

Answered = tuple[np.ndarray, np.ndarray]
"""example ids (n,), sorted, and their scores (n,)"""


def paired_wins(
    found: ModelPairs, cells: pl.DataFrame, evaluations: Path, arms: pl.DataFrame | None = None
) -> pl.DataFrame:
    """``found.pairs`` with the number of examples that both models answered (``paired``), and where
    the first scores higher (``wins``) and lower (``losses``): means over pairs of their seeds.

    Null without a cell's file, as for released scores.

    Args:
        cells: the cells table, for the models of each seed.
        evaluations: folder of the cells' files.
        arms: table of fine-tuned models, for the settings that validation chooses.
    """
    if found.pairs.is_empty():
        return found.pairs
    runs = _runs(cells, arms)
    models = found.tuned.select("model", *MODEL, *SHARED[1:]).to_dicts()
    counts: dict[tuple[int, int], dict[str, float | None]] = {}
    for own in _alike(found, models):
        answered = {
            model: list(_answers(models[model], runs, evaluations))
            for model in {one for pair in own for one in pair}
        }
        counts |= {(a, b): _mean_counts(answered[a], answered[b]) for a, b in own}
    pairs = found.pairs.select("first", "second").rows()
    rows = pl.DataFrame([counts[pair] for pair in pairs], schema=COUNTS)
    return pl.concat([found.pairs, rows], how="horizontal")


def _alike(found: ModelPairs, models: list[dict[str, Any]]) -> Iterator[list[tuple[int, int]]]:
    """Pairs grouped by what they share, so that few files are in memory at once."""
    pairs: dict[tuple, list[tuple[int, int]]] = {}
    for first, second in found.pairs.select("first", "second").iter_rows():
        pairs.setdefault(tuple(models[first][name] for name in SHARED), []).append((first, second))
    yield from pairs.values()


def _runs(cells: pl.DataFrame, arms: pl.DataFrame | None) -> Mapping[tuple, list[str]]:
    """Model, without its seed -> its arms; chosen settings also as ``CHOSEN``."""
    known = cells.select(*MODEL, "arm").unique(maintain_order=True)
    if arms is not None:
        known = and_chosen(known, arms)
    runs: dict[tuple, list[str]] = {}
    for *model, arm in known.iter_rows():
        runs.setdefault(tuple(model), []).append(arm)
    return runs


def _answers(
    model: Mapping[str, Any], runs: Mapping[tuple, list[str]], evaluations: Path
) -> Iterator[Answered]:
    """Answers of each seed of a model that has a file."""
    for arm in runs[tuple(model[name] for name in MODEL)]:
        cell = (model["checkpoint"], arm, *(model[name] for name in SHARED[1:]))
        file = Path(cell_path(evaluations, *cell))
        if file.exists():
            frame = pl.read_parquet(file, columns=["example_id", "score"]).sort("example_id")
            yield frame["example_id"].to_numpy(), frame["score"].cast(pl.Float64).to_numpy()


def _mean_counts(first: list[Answered], second: list[Answered]) -> dict[str, float | None]:
    """Means over the pairs of seeds; nulls without a pair."""
    found = []
    for (ids, mine), (other_ids, theirs) in product(first, second):
        if not np.array_equal(ids, other_ids):
            _, at, other = np.intersect1d(ids, other_ids, return_indices=True)
            mine, theirs = mine[at], theirs[other]
        found.append((len(mine), (mine > theirs).sum(), (mine < theirs).sum()))
    means = np.mean(found, axis=0).tolist() if found else [None] * len(COUNTS)
    return dict(zip(COUNTS, means, strict=True))
