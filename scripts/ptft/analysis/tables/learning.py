"""Curves over pre-training: their rise, their trend, and whether that is learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ptft.analysis.draws import Rows
from ptft.analysis.estimates import Estimates, SeedPart, difference, with_interval
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import adjust_p_values
from ptft.analysis.tables.suspicious import BELOW_CHANCE, CONSTANT_ANSWER
from ptft.analysis.trends import kendall_trend, line_trend

# Where no chance level is known (generation) every score counts as above it.
NO_GUESS = -1.0
TREND = (
    "slope", "slope_stderr", "slope_ci_low", "slope_ci_high", "slope_p", "slope_detectable",
)  # fmt: skip


def curve_table(view: Scores, rows: Sequence[Sequence[int]], settings: Settings) -> pl.DataFrame:
    """What is known of curves, one row per curve, given the rows of ``view`` that each is made of.

    first, last: scores at both ends of pre-training. rise: last - first, with its interval
    (prefix rise_), which is about these two checkpoints. slope: of the line through all of the
    curve's checkpoints, with an interval and a test (slope_p) that treat them as a sample
    (``ptft.analysis.trends.line_trend``); slope_detectable, the smallest slope that this test would
    find with a power of 80 %. tau, tau_p: Kendall's test of their order; its null is
    that the checkpoints are exchangeable. guess: what a constant answer earns at best, the larger
    of chance and the most frequent gold answer's share; null where no chance level is known.
    guessing: the last score is a constant answer, or not above ``guess`` by more than its interval.

    learned: the curve rises by at least ``rise_margin``, the interval of the rise excludes zero,
    and guessing does not explain it: it does not end in guessing, and where it starts clearly
    below chance (starts_below_chance) only the rise above chance counts; both as table
    `suspicious` flags them. Where no error is known the scores decide alone.
    """
    curves = _curves(view, rows)
    first, last = curves["first_row"].to_numpy(), curves["last_row"].to_numpy()
    rise = difference(view, last, first, same_run=False)
    guess = curves["guess"].fill_null(NO_GUESS).to_numpy()
    excess = Estimates(
        curves["last"].to_numpy() - guess,
        view.draws[last] - guess[:, None],
        SeedPart.of(view.by_seed[last]),
    )
    counted = (curves["last"] - curves["start"]).to_numpy() >= settings.rise_margin
    guessing = curves["constant"].to_numpy() | ~_above_zero(excess, settings.level)
    learned = counted & _above_zero(rise, settings.level) & ~guessing
    table = with_interval(
        curves.select("first", "last", (pl.col("last") - pl.col("first")).alias("rise")),
        rise,
        settings.level,
        prefix="rise_",
    )
    taus = [kendall_trend(values) for values in curves["values"].to_list()]
    return pl.concat(
        [
            table,
            trend_table(view.draws, curves, settings.level),
            pl.DataFrame(taus, schema={"tau": pl.Float64, "tau_p": pl.Float64}, orient="row"),
            curves.select(
                pl.col("below").alias("starts_below_chance"),
                "guess",
                pl.Series("guessing", guessing, dtype=pl.Boolean),
                pl.Series("learned", learned, dtype=pl.Boolean),
            ),
        ],
        how="horizontal",
    )


def learned_share(view: Scores, rows: Sequence[Sequence[int]], settings: Settings) -> np.ndarray:
    """Share of the draws (one number a curve) in which a curve rises by the margin, above guessing.

    NaN where no error is known.
    """
    curves = _curves(view, rows)
    last = view.draws[curves["last_row"].to_numpy()]
    rise = last - view.draws[curves["first_row"].to_numpy()]
    guess = curves["guess"].fill_null(NO_GUESS).to_numpy()
    share = ((rise >= settings.rise_margin) & (last > guess[:, None])).mean(axis=1)
    return np.where(np.isnan(rise).any(axis=1), np.nan, share)


def curve_of(value: str) -> list[pl.Expr]:
    """What a group of rows, in the order of pre-training, is aggregated to as one curve.

    Its length and ends, and the lists that :func:`trend_table` reads; ``row`` is a row of draws.
    """
    return [
        pl.len().cast(pl.Int64).alias("n_checkpoints"),
        pl.col(value).first().alias(f"{value}_first"),
        pl.col(value).last().alias(f"{value}_last"),
        pl.col("index"),
        pl.col(value).alias("values"),
        pl.col("row").alias("rows"),
    ]


def trend_table(draws: Rows, curves: pl.DataFrame, level: float) -> pl.DataFrame:
    """The columns ``TREND`` of curves with lists index, values and rows (of ``draws``)."""
    trends = [
        line_trend(index, np.array(values), draws[rows], level)
        for index, values, rows in curves.select("index", "values", "rows").iter_rows()
    ]
    columns: list[Sequence[float]] = list(
        zip(*[(t.slope, t.stderr, t.low, t.high, t.p, t.detectable) for t in trends], strict=True)
    )
    return pl.DataFrame(
        [
            pl.Series(name, values, pl.Float64).fill_nan(None)
            for name, values in zip(TREND, columns or [[]] * len(TREND), strict=True)
        ]
    )


def adjusted(p_values: pl.Series) -> pl.Series:
    """P-values of many curves, adjusted for their number (``adjust_p_values``); nulls stay."""
    known = p_values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return pl.Series(adjust_p_values(known), dtype=pl.Float64).fill_nan(None)


def _curves(view: Scores, rows: Sequence[Sequence[int]]) -> pl.DataFrame:
    """Each curve's points as lists in the order of pre-training, and what is known of its ends."""
    points = pl.DataFrame(
        {"curve": range(len(rows)), "row": rows},
        schema={"curve": pl.Int64, "row": pl.List(pl.UInt32)},
    )
    value, below = pl.col("value"), BELOW_CHANCE.fill_null(False)
    start = pl.when(below).then(pl.max_horizontal("value", "chance")).otherwise(value)
    return (
        points.explode("row")
        .join(view.cells, on="row", maintain_order="left")
        .sort("curve", "index")
        .group_by("curve", maintain_order=True)
        .agg(
            pl.col("index"),
            value.alias("values"),
            pl.col("row").alias("rows"),
            value.first().alias("first"),
            value.last().alias("last"),
            start.first().alias("start"),
            below.first().alias("below"),
            pl.col("row").first().alias("first_row"),
            pl.col("row").last().alias("last_row"),
            pl.when(pl.col("chance").is_not_null())
            .then(pl.max_horizontal("chance", "gold_share"))
            .last()
            .alias("guess"),
            CONSTANT_ANSWER.fill_null(False).last().alias("constant"),
        )
    )


def _above_zero(estimates: Estimates, level: float) -> np.ndarray:
    """Whether the lower limit is above zero, or the value where no error is known."""
    low = estimates.interval(level)[1]
    return np.where(np.isnan(low), estimates.values, low) > 0
