"""Models' answers, example by example, from one cell's file at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.scores import KEY
from ptft.paths import cell_path

COLUMNS = ["example_id", "prediction", "gold", "score", "logprobs", "truncated"]


@dataclass(frozen=True)
class Answers:
    """A model's answers to the n examples of a cell.

    Attributes:
        frame: ``COLUMNS`` of the cell's file, one row per example.
        labels: of a classification, in the order of its log-probabilities; else None.
    """

    frame: pl.DataFrame
    labels: Sequence[str] | None = None

    @property
    def scores(self) -> np.ndarray:
        """(n,) main metric."""
        return self.frame["score"].cast(pl.Float64).to_numpy()

    @property
    def gold_logprobs(self) -> np.ndarray:
        """(n,) log-probability of the gold answer; NaN for a generation."""
        logprobs = self.frame["logprobs"]
        if logprobs.null_count():
            return np.full(len(self.frame), np.nan)
        # A label by its place, a choice by its number.
        gold = self.frame["gold"]
        gold = gold.cast(pl.Enum(self.labels)).to_physical() if self.labels else gold
        ends = np.cumsum(logprobs.list.len().to_numpy().astype(np.int64))
        starts = np.concatenate([[0], ends[:-1]])
        return logprobs.explode().to_numpy()[starts + gold.cast(pl.Int64).to_numpy()]

    def rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Some of the answers, with gold_logprob and prediction_logprob (None for a text)."""
        rows = self.frame[list(places)].to_dicts()
        for row in rows:
            for column in ("gold", "prediction"):
                row[f"{column}_logprob"] = self._logprob(row, column)
        return rows

    def _logprob(self, row: Mapping[str, Any], column: str) -> float | None:
        if row["logprobs"] is None:
            return None
        place = self.labels.index(row[column]) if self.labels else int(row[column])
        return row["logprobs"][place]


Reader = Callable[[str, str, str], Answers | None]
"""(checkpoint, arm, format) -> the cell's answers; None if there are none"""


def cells_reader(
    cells: pl.DataFrame, evaluations: Path, labels: Mapping[str, Sequence[str] | None]
) -> Callable[[str, int], Reader]:
    """A function (dataset, shots) -> Reader of the table's cells in a folder of evaluations.

    Args:
        labels: of every dataset; None if it is no classification.
    """
    known = set(cells.filter("main").select(KEY).iter_rows())

    def of(dataset: str, shots: int) -> Reader:
        def read(checkpoint: str, arm: str, format_name: str) -> Answers | None:
            cell = (checkpoint, arm, dataset, format_name, shots)
            if cell not in known:
                return None
            file = cell_path(evaluations, *cell)
            return Answers(pl.read_parquet(file, columns=COLUMNS), labels[dataset])

        return read

    return of
