"""Tuned models as points: what each gains on its own task, and what it keeps of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from ptft.analysis.arms import CHOSEN
from ptft.analysis.draws import Derived
from ptft.analysis.estimates import Change, Changes
from ptft.analysis.scores import CHECKPOINT, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import bounded_change
from ptft.analysis.tradeoff import Path, Versions

# What was done to a checkpoint, apart from the task and the seed.
VARIANT = ["method", "swept", "setting", "derived", "strength"]
POINT = [*CHECKPOINT, "train_task", *VARIANT]
# Every method has a learning rate: to choose it is no method of its own.
RATE = "lr"
INTERPOLATE = "interpolate"


@dataclass(frozen=True)
class Points:
    """P tuned models, seeds averaged, in the order of ``POINT``."""

    table: pl.DataFrame
    """(P) columns ``POINT``, n_seeds, own_datasets, other_datasets"""
    others: pl.DataFrame
    """pairs of tuned and base scores on other families, of which ``kept`` is made"""
    gain: Versions
    """tuned minus base, mean over the task's own test sets"""
    kept: Versions
    """bounded change (``bounded_change``), mean over the datasets of other families: 0 for all,
    -1 for nothing"""

    @classmethod
    def of(cls, scores: Scores, settings: Settings) -> Points:
        """The models that have scores on their own task and on another family."""
        view = scores.main_view(settings.format, settings.shots)
        tuned = pl.col("train_task").is_not_null() & pl.col("setting").ne_missing(CHOSEN)
        pairs = view.pairs().filter(tuned)
        chosen = settings.transfer_datasets
        other = pairs.filter(
            (pl.col("domain") == "cross") & (pl.col("dataset").is_in(chosen) | (not chosen))
        )
        own = pairs.filter(pl.col("domain") == "in")
        known = own.join(other, on=POINT, how="semi", nulls_equal=True)
        gains, gain = mean_points(view, known, np.subtract)
        others = other.join(own, on=POINT, how="semi", nulls_equal=True)
        keeps, kept = mean_points(view, others, bounded_change)
        table = gains.with_columns(
            pl.min_horizontal("n_seeds", keeps["n_seeds"]),
            pl.col("datasets").alias("own_datasets"),
            keeps["datasets"].alias("other_datasets"),
        ).drop("datasets")
        return cls(table, others, gain, kept)

    def groups(self) -> Iterator[tuple[dict, list[int]]]:
        """Each checkpoint and task: its columns, and its points."""
        by = [*CHECKPOINT, "train_task"]
        yield from (
            self.table.with_row_index("point")
            .group_by(by, maintain_order=True)
            .agg("point")
            .sort("train_task", "index")
            .select(pl.struct(by), "point")
            .iter_rows()
        )

    def take(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Gain and kept (P, V) of points, with the base model as a last one."""
        base = np.zeros((1, self.gain.values.shape[1]))
        gain, kept = self.gain.values[rows], self.kept.values[rows]
        return np.concatenate([gain, base]), np.concatenate([kept, base])

    def paths(self, rows: list[int]) -> dict[tuple, Path]:
        """(method, swept, derived) -> its path over points of one checkpoint and task.

        Points count within ``rows``; the base model is the one after the last. Interpolated models
        lie between the base and the tuned model that they are made of.
        """
        found: dict[tuple, Path] = {}
        table = self.table[rows].with_row_index("point")
        table = table.with_columns(pl.col("swept").replace({RATE: None}))
        for key, own in table.group_by("method", "swept", "derived", maintain_order=True):
            if key[2] != INTERPOLATE:
                found[key] = Path(own["point"].to_list())
                continue
            lines = [
                _line(table, part, base=len(rows))
                for _, part in own.group_by("setting", maintain_order=True)
            ]
            points = list(dict.fromkeys(point for line in lines for point in line))
            links = [link for line in lines for link in zip(line, line[1:], strict=False)]
            found[key] = Path(points, links)
        return found


def _line(table: pl.DataFrame, part: pl.DataFrame, base: int) -> list[int]:
    """Points of a line from the base through the tuned model, in the order of strength."""
    tuned = table.filter(
        pl.col("derived").is_null(),
        *(pl.col(name).eq_missing(part[name][0]) for name in ("method", "swept", "setting")),
    )
    ends = {0.0: base} | ({1.0: tuned["point"][0]} if len(tuned) else {})
    at = ends | dict(part.select("strength", "point").iter_rows())
    return [at[strength] for strength in sorted(at)]


def mean_points(view: Scores, pairs: pl.DataFrame, change: Change) -> tuple[pl.DataFrame, Versions]:
    """The mean change of each point over its datasets, and what was averaged."""
    changes = Changes.of(view, pairs, change)
    groups = (
        pairs.with_columns(pl.int_range(pl.len()).alias("position"))
        .group_by(POINT)
        .agg(
            pl.col("position"),
            pl.col("n_seeds").min(),
            pl.col("dataset").unique().sort().str.join(" ").alias("datasets"),
        )
        .sort("train_task", "index", *VARIANT, nulls_last=False)
    )

    def mean(values: np.ndarray | Derived) -> np.ndarray:
        empty = values[:0]
        rows = [values[at].mean(axis=0) for at in groups["position"].to_list()]
        return np.array(rows) if rows else empty

    parts = mean(changes.values), mean(changes.draws), mean(changes.by_seed)
    versions = Versions.of(*parts)
    return groups.drop("position"), versions
