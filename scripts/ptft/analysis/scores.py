"""The scores that analyses work on: main-metric cells, averaged over seeds, with replicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ptft.collect import AUDIT_SCHEMA
from ptft.statistics import (
    LEVEL,
    hierarchical_replicates,
    normal_replicates,
    percentile_interval,
)

KEY = ["checkpoint", "arm", "dataset", "format", "shots"]
# What is left of the key when runs that differ in their seed only are averaged.
GROUP = ["checkpoint", "method", "train_task", "dataset", "format", "shots"]
CHECKPOINT = ["checkpoint", "step", "tokens", "index"]
INTERVAL = ("stderr", "ci_low", "ci_high")
# Enough for the 2.5 and 97.5 percentiles of a normal stand-in to be stable to about 2 % of a
# standard error.
STAND_IN_RESAMPLES = 3000


@dataclass(frozen=True)
class Scores:
    """Scores of (checkpoint, method, task, dataset, format, shots), averaged over seeds.

    ``cells`` has the columns of the cells table (main metric only) less arm and seed, plus
    ``index`` (position of the checkpoint in pre-training, 0 is the earliest), ``n_seeds``, the
    columns of ``AUDIT_SCHEMA`` and ``row`` (the row of ``replicates``, (C, R), that belongs to it).
    """

    cells: pl.DataFrame
    replicates: np.ndarray

    @classmethod
    def build(
        cls, cells: pl.DataFrame, replicates: pl.DataFrame | None = None, seed: int = 0
    ) -> Scores:
        """Join cells with their replicates and average over seeds.

        Without replicates (published scores) they are drawn from a normal distribution around
        the value, each cell on its own; a cell without a standard error gets no interval.

        Raises:
            ValueError: a cell occurs twice, or a cell has no replicates.
        """
        main = cells.filter(pl.col("main")).sort(KEY)
        refuse_duplicates(main)
        main = main.with_columns(checkpoint_index(main)).with_row_index("row")
        if replicates is None:
            drawn = normal_replicates(
                main["value"].to_numpy(),
                main["stderr"].fill_null(np.nan).to_numpy(),
                STAND_IN_RESAMPLES,
                seed,
            )
            main = main.with_columns(
                pl.lit(None, dtype).alias(name) for name, dtype in AUDIT_SCHEMA.items()
            )
        else:
            joined = main.join(replicates, on=KEY, how="left", maintain_order="left")
            without = joined.filter(pl.col("replicates").is_null())
            if len(without):
                raise ValueError(
                    f"cell {without.select(KEY).row(0)} has no replicates "
                    f"({len(without)} such cells); collect the cells again"
                )
            drawn = joined["replicates"].to_numpy().astype(np.float64)
            main = joined.drop("replicates")
        return _average_seeds(main, drawn, seed)

    def with_errors(self) -> pl.DataFrame:
        """All cells with stderr, ci_low and ci_high from their replicates."""
        return with_interval(self.cells, self.replicates[self.cells["row"].to_numpy()])

    @property
    def checkpoints(self) -> pl.DataFrame:
        """Checkpoints from the earliest to the latest: checkpoint, step, tokens, index."""
        return self.cells.select(CHECKPOINT).unique().sort("index")

    def main_view(self, fmt: str, shots: int | None) -> Scores:
        """Cells of one format, and of one number of shots a dataset (see :func:`with_shots`)."""
        cells = with_shots(self.cells.filter(pl.col("format") == fmt), shots, ["dataset"])
        if cells.is_empty():
            raise ValueError(
                f"no score with format {fmt!r} and shots {shots}; there are formats "
                f"{self.cells['format'].unique().sort().to_list()} and shots "
                f"{self.cells['shots'].unique().sort().to_list()}"
            )
        return Scores(cells, self.replicates)

    def pairs(self) -> pl.DataFrame:
        """Tuned cells beside the base cell of the same checkpoint, dataset, format and shots.

        Columns of the tuned cell, plus ``base`` (value) and ``base_row``. Tuned cells without
        such a base cell are left out; :meth:`without_base` lists them.
        """
        return self._tuned().join(self._base(), on=self._base_key, how="inner")

    def without_base(self) -> pl.DataFrame:
        """Tuned cells that have no base cell to compare with."""
        return self._tuned().join(self._base(), on=self._base_key, how="anti")

    _base_key = ("checkpoint", "dataset", "format", "shots")

    def _tuned(self) -> pl.DataFrame:
        return self.cells.filter(pl.col("method").is_not_null())

    def _base(self) -> pl.DataFrame:
        return self.cells.filter(pl.col("method").is_null()).select(
            *self._base_key, pl.col("value").alias("base"), pl.col("row").alias("base_row")
        )


def with_shots(cells: pl.DataFrame, shots: int | None, by: list[str]) -> pl.DataFrame:
    """Cells with ``shots``; None takes each group's most frequent number, of two the larger."""
    if shots is not None:
        return cells.filter(pl.col("shots") == shots)
    usual = (
        cells.group_by(*by, "shots")
        .len()
        .sort("len", "shots")
        .group_by(by, maintain_order=True)
        .agg(pl.col("shots").last())
    )
    return cells.join(usual, on=[*by, "shots"], how="semi", maintain_order="left")


def refuse_duplicates(main: pl.DataFrame) -> None:
    """Raise ValueError if two main rows have the same key; name both values and their studies."""
    twice = main.filter(pl.struct(KEY).is_duplicated())
    if len(twice):
        first = twice.row(0, named=True)
        both = twice.filter(pl.all_horizontal(pl.col(k) == first[k] for k in KEY))
        sources = [
            f"{row['value']} ({row['study']}, {row['model']})" for row in both.iter_rows(named=True)
        ]
        raise ValueError(
            f"cell {[first[k] for k in KEY]} occurs {len(both)} times: {', '.join(sources)}; "
            "keep one source"
        )


def checkpoint_index(cells: pl.DataFrame) -> pl.Expr:
    """Position of each checkpoint in pre-training; one without a step (`main`) is the last."""
    order = (
        cells.select("checkpoint", "step", "tokens")
        .unique()
        .sort("step", "tokens", "checkpoint", nulls_last=True)["checkpoint"]
        .to_list()
    )
    if len(set(order)) != len(order):
        twice = next(name for name in order if order.count(name) > 1)
        raise ValueError(f"checkpoint {twice!r} has two different steps or token counts")
    return (
        pl.col("checkpoint")
        .replace_strict({name: i for i, name in enumerate(order)}, return_dtype=pl.Int64)
        .alias("index")
    )


def _average_seeds(main: pl.DataFrame, drawn: np.ndarray, seed: int) -> Scores:
    """Average cells that differ in their seed only, their replicates hierarchically."""
    grouped = (
        main.group_by(GROUP, maintain_order=True)
        .agg(
            pl.col("row").alias("rows"),
            pl.col("value", *AUDIT_SCHEMA).mean(),
            pl.len().cast(pl.Int64).alias("n_seeds"),
            pl.col(
                "study",
                "model",
                "step",
                "tokens",
                "index",
                "family",
                "domain",
                "kind",
                "metric",
                "n",
                "chance",
            ).first(),
        )
        .with_row_index("row")
    )
    rows = grouped["rows"].to_list()
    if len(grouped) == len(main):
        replicates = drawn[[r[0] for r in rows]]
    else:
        replicates = np.stack([hierarchical_replicates(drawn[r], seed) for r in rows])
    return Scores(grouped.drop("rows"), replicates)


def with_interval(
    frame: pl.DataFrame, replicates: np.ndarray, level: float = LEVEL, prefix: str = ""
) -> pl.DataFrame:
    """Add stderr, ci_low and ci_high (null where unknown) from replicates (rows of frame, R)."""
    names = [prefix + name for name in INTERVAL]
    if frame.is_empty():
        return frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    columns = percentile_interval(replicates, level)
    return frame.with_columns(
        pl.Series(name, values, dtype=pl.Float64).fill_nan(None)
        for name, values in zip(names, columns, strict=True)
    )


def aggregate(
    pairs: pl.DataFrame,
    name: str,
    values: np.ndarray,
    replicates: np.ndarray,
    by: list[str],
    level: float = LEVEL,
    prefix: str = "",
) -> pl.DataFrame:
    """Average ``values`` (rows,) and ``replicates`` (rows, R) of ``pairs`` over groups ``by``.

    Returns:
        One row a group: ``by``, the mean as column ``name``, its interval (columns prefixed),
        ``n_cells``, and ``datasets``: what was averaged over, sorted, joined by spaces. The
        datasets are taken as given: the interval covers the choice of examples (and seeds), not
        the choice of datasets.
    """
    groups = (
        pairs.with_columns(pl.int_range(pl.len()).alias("_position"))
        .group_by(by)
        .agg(
            pl.col("_position"),
            pl.len().cast(pl.Int64).alias("n_cells"),
            pl.col("dataset").unique().sort().str.join(" ").alias("datasets"),
        )
        .sort(by, nulls_last=True)
    )
    positions = groups["_position"].to_list()
    point = pl.Series(name, [values[p].mean() for p in positions], dtype=pl.Float64)
    means = np.array([replicates[p].mean(axis=0) for p in positions])
    table = with_interval(groups.select(*by, point.fill_nan(None)), means, level, prefix)
    return pl.concat([table, groups.select("n_cells", "datasets")], how="horizontal")


def flag_holes(table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Add ``complete``: whether a mean covers as many cells as the fullest of its group ``by``.

    A mean over fewer cells than at the other checkpoints must not be read as a trend.
    """
    return table.with_columns(
        (pl.col("n_cells") == pl.col("n_cells").max().over(by)).alias("complete")
    )


def gain_replicates(view: Scores, pairs: pl.DataFrame) -> np.ndarray:
    """Replicates (rows, R) of tuned minus base for the rows of ``Scores.pairs``."""
    return view.replicates[pairs["row"].to_numpy()] - view.replicates[pairs["base_row"].to_numpy()]
