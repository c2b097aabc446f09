"""Two tuned models compared by example: on how many one scores higher, lower or the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.arms import CHOSEN, chosen_settings
from ptft.analysis.comparison import SHARED, Comparison
from ptft.analysis.scores import ARM
from ptft.paths import cell_path

COUNTS = {"paired": pl.Float64, "wins": pl.Float64, "losses": pl.Float64}
MODEL = ["checkpoint", *ARM]

Answered = tuple[np.ndarray, np.ndarray]
"""example ids (n,), sorted, and their scores (n,)"""


def paired_wins(
    found: Comparison, cells: pl.DataFrame, evaluations: Path, arms: pl.DataFrame | None = None
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
        counts |= {(a, b): _counts(answered[a], answered[b]) for a, b in own}
    pairs = found.pairs.select("first", "second").rows()
    rows = pl.DataFrame([counts[pair] for pair in pairs], schema=COUNTS)
    return pl.concat([found.pairs, rows], how="horizontal")


def _alike(found: Comparison, models: list[dict[str, Any]]) -> Iterator[list[tuple[int, int]]]:
    """Pairs grouped by what they share, so that few files are in memory at once."""
    pairs: dict[tuple, list[tuple[int, int]]] = {}
    for first, second in found.pairs.select("first", "second").iter_rows():
        pairs.setdefault(tuple(models[first][name] for name in SHARED), []).append((first, second))
    yield from pairs.values()


def _runs(cells: pl.DataFrame, arms: pl.DataFrame | None) -> Mapping[tuple, list[str]]:
    """Model, without its seed -> its arms; chosen settings also as ``CHOSEN``."""
    known = cells.select(*MODEL, "arm").unique(maintain_order=True)
    if arms is not None:
        on = ["checkpoint", "method", "train_task", "setting"]
        chosen = known.join(chosen_settings(arms), on=on, how="semi", maintain_order="left")
        known = pl.concat([known, chosen.with_columns(setting=pl.lit(CHOSEN))])
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


def _counts(first: list[Answered], second: list[Answered]) -> dict[str, float | None]:
    """Means over the pairs of seeds; nulls without a pair."""
    found = []
    for (ids, mine), (other_ids, theirs) in product(first, second):
        if not np.array_equal(ids, other_ids):
            _, at, other = np.intersect1d(ids, other_ids, return_indices=True)
            mine, theirs = mine[at], theirs[other]
        found.append((len(mine), (mine > theirs).sum(), (mine < theirs).sum()))
    means = np.mean(found, axis=0).tolist() if found else [None] * len(COUNTS)
    return dict(zip(COUNTS, means, strict=True))
