"""The scores that analyses work on: main-metric cells, averaged over seeds, with draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import AUDIT_SCHEMA, COLUMN, KEY, replicates_at
from ptft.analysis.draws import Read, make_draws, seed_means
from ptft.analysis.settings import TUNED_SHOTS, Settings
from ptft.analysis.statistics import effective_examples, normal_replicates


def with_shots(cells: pl.DataFrame, shots: int | None, by: list[str]) -> pl.DataFrame:
    """Cells with ``shots``; None takes the number that models are tuned with (``TUNED_SHOTS``).

    A group with no such cell, or fewer than half as many as at another number (the released tables
    have a few among many at 4 shots), is taken at its most frequent number, the larger if tied.
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
    """Position of each checkpoint in pre-training; without a step (`main`) it is the last."""
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


def at_last(rows: pl.DataFrame, *over: str) -> pl.DataFrame:
    """Rows of the last checkpoint (of each ``over``)."""
    last = pl.col("index").max()
    return rows.filter(pl.col("index") == (last.over(over) if over else last))


T = TypeVar("T")
# What was done to a checkpoint, whatever the seed; METHOD whatever the task, too.
ARM = ["method", "train_task", "setting", "derived", "strength"]
METHOD = ["method", "setting", "derived", "strength"]
# What a constant answer earns at best; null where no chance level is known.
GUESS = pl.when(pl.col("chance").is_not_null()).then(pl.max_horizontal("chance", "gold_share"))
# What the most frequent gold answer earns; null where texts are generated.
MAJORITY = pl.when(pl.col("chance").is_not_null()).then("gold_share").alias("majority")
BASE = pl.col("method").is_null() & pl.col("derived").is_null()
ENDINGS = ("empty", "cut")
"""shares of a cell's generated answers: without text, and ended by their length"""
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
    columns of ``AUDIT_SCHEMA``, those of ``ENDINGS``, ``run`` (number of the checkpoint, method and
    task: cells of one run share their training seeds) and ``row``, the row of these that belongs to
    it:

    ``draws`` (C, R): of its confidence distribution, paired as far as scores are. Percentiles of a
    function of draws are the interval of that function of scores.
    ``by_seed`` (C, S): its score for each of the training ``seeds``, NaN where there is none.
    ``arms``: the table of fine-tuned models (``ptft.analysis.tuned_models``), where there is one.
    ``texts``: losses of generic text, where lower is better. They are in no cell above, so that no
    analysis of prompts takes them for scores; their ``cells`` have each further metric as a column.
    """

    cells: pl.DataFrame
    draws: np.ndarray
    by_seed: np.ndarray
    texts: Scores | None = None
    arms: pl.DataFrame | None = None
    seeds: Sequence[int] = ()
    made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """what :func:`once` keeps"""

    @classmethod
    def build(
        cls,
        cells: pl.DataFrame,
        replicates: pl.DataFrame | pl.LazyFrame | None = None,
        seed: int = 0,
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
        seeds = sorted(main["seed"].drop_nulls().unique())
        known = None if replicates is None else replicates.lazy()
        prompted = _average_seeds(*_drawn(main.filter(~text), known, seed), seed, seeds)
        ended = (pl.col("value").filter(metric=name).mean().alias(name) for name in ENDINGS)
        endings = cells.filter(~text).group_by(GROUP).agg(ended)
        told = prompted.cells.join(
            endings, on=GROUP, how="left", nulls_equal=True, maintain_order="left"
        )
        prompted = replace(prompted, cells=told)
        if not (main["kind"] == "text").any():
            return prompted
        drawn = _drawn(main.filter(text), known, seed)
        losses = _average_seeds(*drawn, seed, seeds, bounded=False)
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
        if (known := self.made.get((format_name, shots))) is not None:
            return known
        cells = with_shots(self.cells.filter(pl.col("format") == format_name), shots, ["dataset"])
        if cells.is_empty():
            raise ValueError(
                f"no score with format {format_name!r} and shots {shots}; there are formats "
                f"{self.cells['format'].unique().sort().to_list()} and shots "
                f"{self.cells['shots'].unique().sort().to_list()}"
            )
        return self.made.setdefault((format_name, shots), self.among(cells))

    def among(self, cells: pl.DataFrame) -> Scores:
        """Some of the cells alone; what draws and scores by seed their rows are stays."""
        return Scores(cells, self.draws, self.by_seed, seeds=self.seeds)

    def pairs(self) -> pl.DataFrame:
        """Tuned cells beside the base cell of the same checkpoint, dataset, format and shots.

        Columns of the tuned cell, plus ``base`` (value) and ``base_row``. Tuned cells without
        such a base cell are left out.
        """
        if "pairs" not in self.made:
            key = ("checkpoint", "dataset", "format", "shots")
            base = self.cells.filter(BASE).select(*key, base="value", base_row="row")
            tuned = self.cells.filter(pl.col("method").is_not_null())
            self.made["pairs"] = tuned.join(base, on=key, how="inner")
        return self.made["pairs"]


def once(make: Callable[[Scores, Settings], T]) -> Callable[[Scores, Settings], T]:
    """A function of scores and settings that several tables rest on, called once for each."""

    @wraps(make)
    def made(scores: Scores, settings: Settings) -> T:
        key = make, repr(settings)
        if key not in scores.made:
            scores.made[key] = make(scores, settings)
        return scores.made[key]

    return made


def _drawn(
    main: pl.DataFrame, replicates: pl.LazyFrame | None, seed: int
) -> tuple[pl.DataFrame, Read]:
    """Cells, numbered in ``row``, with what is known of their answers; the replicates of rows.

    Raises:
        ValueError: a cell has no replicates.
    """
    main = main.sort(KEY).with_row_index("row")
    if replicates is None:
        drawn = normal_replicates(
            main["value"].to_numpy(),
            main["stderr"].fill_null(np.nan).to_numpy(),
            STAND_IN_RESAMPLES,
            seed,
        )
        unknown = (pl.lit(None, dtype).alias(name) for name, dtype in AUDIT_SCHEMA.items())
        return main.with_columns(unknown), drawn.__getitem__
    known = replicates.drop(COLUMN).with_row_index("place").collect()
    joined = main.join(known, on=[*KEY, "metric"], how="left", maintain_order="left")
    without = joined.filter(pl.col("place").is_null())
    if len(without):
        raise ValueError(
            f"cell {without.select(KEY).row(0)} has no replicates "
            f"({len(without)} such cells); collect the cells again"
        )
    places = joined["place"].cast(pl.Int64).to_numpy()
    return joined.drop("place"), lambda rows: replicates_at(replicates, places[rows])


def _average_seeds(
    main: pl.DataFrame,
    drawn: Read,
    seed: int,
    seeds: Sequence[int],
    bounded: bool = True,
) -> Scores:
    """Average cells that differ in their seed only, and draw from what is known of the means.

    Args:
        seeds: training seeds of the study.
        bounded: whether the scores lie in [0, 1] by their nature.
    """
    grouped = _grouped(main)
    numbered = grouped.select(RUN).unique(maintain_order=True).with_row_index("run")
    grouped = grouped.join(numbered, on=RUN, nulls_equal=True, maintain_order="left")
    by_seed = np.full((len(grouped), max(1, len(seeds))), np.nan)
    places = []
    for row, own, values in grouped.select("row", "seeds", "values").iter_rows():
        places.append([0 if s is None else seeds.index(s) for s in own])
        by_seed[row, places[-1]] = values
    members = grouped.select("run", "rows", "values").with_columns(pl.Series("places", places))
    single = grouped["variance"].fill_null(np.nan).to_numpy()
    means, variance = seed_means(drawn, members, single, len(seeds), seed)
    cells = grouped.drop("rows", "seeds", "values", "variance").with_columns(
        pl.Series("stderr", np.sqrt(variance)).fill_nan(None)
    )
    n = _numbers_of_examples(cells, variance)
    known = (cells["value"].to_numpy(), n, cells["n_seeds"].to_numpy())
    draws = make_draws(means, variance, *known, seed, bounded)
    return Scores(cells, draws, by_seed, seeds=seeds)


def _grouped(main: pl.DataFrame) -> pl.DataFrame:
    """A row for the cells that differ in their seed only, with lists of their rows and values."""
    return (
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
