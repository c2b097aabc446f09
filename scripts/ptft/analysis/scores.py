"""The scores that analyses work on: main-metric cells, averaged over seeds, with draws."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ptft.analysis.collect import AUDIT_SCHEMA
from ptft.analysis.intervals import (
    confidence_draws,
    effective_examples,
    over_seeds,
    unseen_agreement,
)
from ptft.analysis.settings import TUNED_SHOTS
from ptft.analysis.statistics import normal_replicates

KEY = ["checkpoint", "arm", "dataset", "format", "shots"]
# What was done to a checkpoint, whatever the seed; METHOD whatever the task, too.
ARM = ["method", "train_task", "setting", "derived", "strength"]
METHOD = ["method", "setting", "derived", "strength"]
BASE = pl.col("method").is_null() & pl.col("derived").is_null()
# What is left of the key when runs that differ in their seed only are averaged.
GROUP = ["checkpoint", *ARM, "dataset", "format", "shots"]
RUN = ["checkpoint", *ARM]
CHECKPOINT = ["checkpoint", "step", "tokens", "index"]
# Enough for the 2.5 and 97.5 percentiles of a normal stand-in to be stable to about 2 % of a
# standard error.
STAND_IN_RESAMPLES = 3000


@dataclass(frozen=True)
class Scores:
    """Scores of (checkpoint, method, task, dataset, format, shots), averaged over seeds.

    ``cells`` has the columns of the cells table (main metric only) less arm and seed, plus
    ``index`` (position of the checkpoint in pre-training, 0 is the earliest), ``n_seeds``, the
    columns of ``AUDIT_SCHEMA``, ``run`` (number of the checkpoint, method and task: cells of one
    run share their training seeds) and ``row``, the row of these that belongs to it:

    ``draws`` (C, R): of its confidence distribution, paired as far as scores are. Percentiles of a
    function of draws are the interval of that function of scores.
    ``by_seed`` (C, S): its score for each training seed, NaN where there is none.
    ``arms``: the table of the fine-tuned models (``ptft.analysis.arms``), where there is one.
    ``texts``: losses of generic text, where lower is better. They are in no cell above, so that no
    analysis of prompts takes them for scores; their ``cells`` have each further metric as a column.
    """

    cells: pl.DataFrame
    draws: np.ndarray
    by_seed: np.ndarray
    texts: Scores | None = None
    arms: pl.DataFrame | None = None

    @classmethod
    def build(
        cls, cells: pl.DataFrame, replicates: pl.DataFrame | None = None, seed: int = 0
    ) -> Scores:
        """Join cells with their replicates and average over seeds.

        Without replicates (published scores) each cell counts as independent of the others; a
        cell without a standard error gets no interval.

        Raises:
            ValueError: a cell occurs twice, or a cell has no replicates.
        """
        main = cells.filter(pl.col("main")).sort(KEY)
        refuse_duplicates(main)
        main = main.with_columns(checkpoint_index(main))
        text = pl.col("kind").eq_missing(pl.lit("text"))
        prompted = _average_seeds(*_drawn(main.filter(~text), replicates, seed), seed)
        if not (main["kind"] == "text").any():
            return prompted
        losses = _average_seeds(*_drawn(main.filter(text), replicates, seed), seed, bounded=False)
        further = cells.filter(text & ~pl.col("main")).pivot(
            "metric", index=GROUP, values="value", aggregate_function="mean", sort_columns=True
        )
        beside = losses.cells.join(
            further, on=GROUP, how="left", nulls_equal=True, maintain_order="left"
        )
        return replace(prompted, texts=replace(losses, cells=beside))

    @property
    def checkpoints(self) -> pl.DataFrame:
        """Checkpoints from the earliest to the latest: checkpoint, step, tokens, index."""
        return self.cells.select(CHECKPOINT).unique().sort("index")

    def main_view(self, format_name: str, shots: int | None) -> Scores:
        """Cells of one format, and of one number of shots a dataset (see :func:`with_shots`)."""
        cells = with_shots(self.cells.filter(pl.col("format") == format_name), shots, ["dataset"])
        if cells.is_empty():
            raise ValueError(
                f"no score with format {format_name!r} and shots {shots}; there are formats "
                f"{self.cells['format'].unique().sort().to_list()} and shots "
                f"{self.cells['shots'].unique().sort().to_list()}"
            )
        return Scores(cells, self.draws, self.by_seed)

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
        return self.cells.filter(BASE).select(
            *self._base_key, pl.col("value").alias("base"), pl.col("row").alias("base_row")
        )


def with_shots(cells: pl.DataFrame, shots: int | None, by: list[str]) -> pl.DataFrame:
    """Cells with ``shots``; None takes the number that models are tuned with (``TUNED_SHOTS``).

    A group that has no such cell, or fewer than half as many as of another number (the released
    tables hold a few among many at 4 shots), is taken at its most frequent number, of two as
    frequent at the larger.
    """
    if shots is not None:
        return cells.filter(pl.col("shots") == shots)
    half = 2 * pl.col("len") >= pl.col("len").max().over(by)
    usual = (
        cells.group_by(*by, "shots")
        .len()
        .sort((pl.col("shots") == TUNED_SHOTS) & half, "len", "shots")
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


def _drawn(
    main: pl.DataFrame, replicates: pl.DataFrame | None, seed: int
) -> tuple[pl.DataFrame, np.ndarray]:
    """Cells, numbered in ``row``, with what is known of their answers, and the replicates of each.

    Raises:
        ValueError: a cell has no replicates.
    """
    main = main.with_row_index("row")
    if replicates is None:
        drawn = normal_replicates(
            main["value"].to_numpy(),
            main["stderr"].fill_null(np.nan).to_numpy(),
            STAND_IN_RESAMPLES,
            seed,
        )
        unknown = (pl.lit(None, dtype).alias(name) for name, dtype in AUDIT_SCHEMA.items())
        return main.with_columns(unknown), drawn
    joined = main.join(replicates, on=KEY, how="left", maintain_order="left")
    without = joined.filter(pl.col("replicates").is_null())
    if len(without):
        raise ValueError(
            f"cell {without.select(KEY).row(0)} has no replicates "
            f"({len(without)} such cells); collect the cells again"
        )
    return joined.drop("replicates"), joined["replicates"].to_numpy()


def _average_seeds(
    main: pl.DataFrame, drawn: np.ndarray, seed: int, bounded: bool = True
) -> Scores:
    """Average cells that differ in their seed only, and draw from what is known of the means.

    Args:
        bounded: whether the scores lie in [0, 1] by their nature.
    """
    grouped = (
        main.sort("seed", "row", maintain_order=True)
        .group_by(GROUP, maintain_order=True)
        .agg(
            pl.col("row").alias("rows"),
            pl.col("seed").alias("seeds"),
            pl.col("value").alias("values"),
            pl.col("value", "truncated", *AUDIT_SCHEMA).mean(),
            (pl.col("stderr") ** 2).first().alias("variance"),
            pl.len().cast(pl.Int64).alias("n_seeds"),
            pl.col(
                "study", "model", "step", "tokens", "index", "family", "domain", "kind", "metric",
                "n", "chance", "swept",
            ).first(),
        )
        .sort(pl.col("rows").list.min())
        .with_row_index("row")
    )  # fmt: skip
    runs = grouped.select(RUN).unique(maintain_order=True).with_row_index("run")
    grouped = grouped.join(runs, on=RUN, nulls_equal=True, maintain_order="left")
    known = sorted(main["seed"].drop_nulls().unique())
    by_seed = np.full((len(grouped), max(1, len(known))), np.nan)
    replicates = np.empty((len(grouped), drawn.shape[1]), dtype=np.float32)
    variance = grouped["variance"].fill_null(np.nan).to_numpy().copy()
    normals: dict[int, np.ndarray] = {}
    for row, run, rows, seeds, values in grouped.select(
        "row", "run", "rows", "seeds", "values"
    ).iter_rows():
        places = [0 if s is None else known.index(s) for s in seeds]
        by_seed[row, places] = values
        if len(rows) == 1:
            replicates[row] = drawn[rows[0]]
            continue
        if run not in normals:
            shape = (len(known), drawn.shape[1])
            normals[run] = np.random.default_rng((seed, run)).standard_normal(shape)
        replicates[row], variance[row] = over_seeds(
            np.array(values), drawn[rows], normals[run][places]
        )
    cells = grouped.with_columns(pl.Series("stderr", np.sqrt(variance)).fill_nan(None)).drop(
        "rows", "seeds", "values", "variance"
    )
    mean = cells["value"].to_numpy()
    n = _numbers_of_examples(cells, variance)
    variance = np.where(np.isnan(n) & (variance == 0), np.nan, variance)
    if bounded:
        variance = variance + unseen_agreement(mean, n, cells["n_seeds"].to_numpy())
    draws = confidence_draws(mean, variance, n, replicates, seed, bounded)
    return Scores(cells, draws, by_seed)


def _numbers_of_examples(cells: pl.DataFrame, variance: np.ndarray) -> np.ndarray:
    """Examples of each cell (C,); where released tables say none, the fewest that any effective
    number of the dataset's other scores comes to. NaN where there is none."""
    found = cells.select(
        "dataset",
        "n",
        effective=pl.Series(effective_examples(cells["value"], variance, np.nan)).fill_nan(None),
    )
    least = pl.col("effective").min().over("dataset")
    return found.select(pl.col("n").fill_null(least).fill_null(np.nan)).to_series().to_numpy()
