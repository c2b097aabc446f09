"""Base and tuned scores over pre-training: their curves, and whether a rise is learning.

Tables `base_scores`, `groups`, `latent` and `suspicious`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import Estimates, SeedPart, difference, with_interval
from ptft.analysis.scores import ARM, BASE, CHECKPOINT, GUESS, MAJORITY, Scores, once
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import adjust_p_values
from ptft.analysis.trends import Axis, curve_trend
from ptft.analysis.tuned_models import CHOSEN

NEAR_PERFECT = 0.99
ONE_LABEL = 0.99
FAR_BELOW = 0.05
# Below this many examples two checkpoints often have the same accuracy by chance.
MANY = 1000
# These also keep a rise from being called learning (:func:`curve_table`).
LITTLE_MASS = 0.01
UNLIKELY_LABELS = pl.col("label_mass") < LITTLE_MASS
A_PART = 0.25
"""of the answers that ended otherwise than with what they say"""
NEARLY_ALL, NORMAL_P001 = 0.9, 3.09
# Nearly one answer for all, and more often than the most frequent label is right (one-sided test,
# p < .001): who knows the answers gives each as often as it is right.
NEAR_CONSTANT = (
    pl.col("chance").is_not_null()
    & (pl.col("prediction_share") >= NEARLY_ALL)
    & (
        pl.col("prediction_share") - pl.col("gold_share")
        > NORMAL_P001 * (pl.col("gold_share") * (1 - pl.col("gold_share")) / pl.col("n")).sqrt()
    )
)
CONSTANT_ANSWER = pl.col("chance").is_not_null() & (pl.col("prediction_share") == 1)
GUESSED = (CONSTANT_ANSWER | NEAR_CONSTANT).fill_null(False)
BELOW_CHANCE = pl.col("value") + 2 * pl.col("stderr").fill_null(0) < pl.col("chance") - FAR_BELOW


def hidden_labels(suspicious: pl.DataFrame) -> list[str]:
    """Datasets of a table `suspicious` with invalid scores: their labels seem to be hidden.

    Their gold labels are all the same, or untrained models are right: the base models of the
    first checkpoint and of another one are near perfect, as a constant answer is on labels that
    a publisher has replaced by one value.
    """
    one = suspicious.filter(pl.col("flag") == "one gold label")["dataset"]
    perfect = (
        suspicious.filter(pl.col("flag") == "near perfect untuned")
        .group_by("dataset", "format", "shots")
        .agg(pl.col("index").min().alias("first"), pl.col("index").n_unique().alias("many"))
        .filter((pl.col("first") == 0) & (pl.col("many") > 1))["dataset"]
    )
    return sorted({*one, *perfect})


@once
def suspicious(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Cells flagged from the numbers alone, in every format and number of shots.

    One row per (cell, flag); a cell may have several. The page says what each means. Without
    per-example results the gold labels and answers are not known, and only the flags that follow
    from scores, errors and chance are raised.
    """
    choice = pl.col("chance").is_not_null()
    cell = [*ARM, "dataset", "format", "shots", "value"]
    between = (pl.col("value") > 0) & (pl.col("value") < 1)
    fine = (pl.col("n").is_null() | (pl.col("n") >= MANY)) | ~choice
    tests = {
        "near perfect untuned": choice
        & pl.col("method").is_null()
        & (pl.col("value") >= NEAR_PERFECT),
        # The right choice may always stand in one place (SciQ's does): that hides nothing.
        "one gold label": (pl.col("kind") == "classification")
        & choice
        & (pl.col("gold_share") >= ONE_LABEL),
        "constant answer": CONSTANT_ANSWER,
        "near-constant answer": NEAR_CONSTANT & (pl.col("prediction_share") < 1),
        "unlikely labels": UNLIKELY_LABELS,
        "empty answers": pl.col("empty") >= A_PART,
        "cut answers": pl.col("cut") >= A_PART,
        "no variance": pl.col("stderr") == 0,
        "same score twice": between & fine & (pl.col("checkpoint").n_unique().over(cell) > 1),
        "shots cut": (pl.col("shots") > 0) & (pl.col("truncated") > 0.5),
        "below chance": BELOW_CHANCE,
    }
    cells = scores.cells.filter(pl.col("setting").ne_missing(CHOSEN))
    columns = [
        *CHECKPOINT, *ARM, "domain", "family", "dataset", "kind", "format",
        "shots", "metric", "n", "chance", "value", "stderr",
    ]  # fmt: skip
    flagged = [
        cells.filter(test.fill_null(False)).select(*columns, flag=pl.lit(flag))
        for flag, test in tests.items()
    ]
    return pl.concat(flagged).sort("flag", "dataset", *ARM, "format", "shots", "index")


# Where no chance level is known (generation) every score counts as above it.
NO_GUESS = -1.0
TREND = schema(
    *("slope", *(f"slope_{name}" for name in ("stderr", "ci_low", "ci_high", "p", "detectable"))),
    *("slope_example_error", *(f"log_slope{name}" for name in ("", "_ci_low", "_ci_high", "_p"))),
    *("tau", "tau_p", "slope_p_without_first", "slope_p_without_last", "slope_hangs_on"),
    slope_hangs_on=pl.String,
)
"""columns of :func:`trend_table`"""


def curve_table(view: Scores, rows: Sequence[Sequence[int]], settings: Settings) -> pl.DataFrame:
    """Columns of curves in tables `groups` and `latent`, given the rows of ``view`` of each.

    first, last, rise with its interval (prefix rise_); the columns of :func:`trend_table`; guess:
    what a constant answer earns at best, null where no chance level is known; guessing: the last
    score is a (nearly) constant answer, or not above ``guess`` by more than its interval; learned
    by the rule of `groups`, or where no error is known by the scores alone.
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
    return pl.concat(
        [
            table,
            trend_table(view.draws, curves, view.checkpoints, settings.level),
            curves.select(
                pl.col("below").alias("starts_below_chance"),
                "guess",
                pl.Series("guessing", guessing, dtype=pl.Boolean),
                pl.Series("learned", learned, dtype=pl.Boolean),
            ),
        ],
        how="horizontal",
    )


def curve_of(value: str) -> list[pl.Expr]:
    """Aggregates of a group of rows, in the order of pre-training, as one curve.

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


def trend_table(
    draws: np.ndarray, curves: pl.DataFrame, checkpoints: pl.DataFrame, level: float
) -> pl.DataFrame:
    """The columns ``TREND`` of curves with lists index, values and rows (of ``draws``).

    slope: of the least-squares line, per checkpoint in the order of pre-training
    (slope_example_error: the part of its error from the choice of examples alone); log_slope: per
    tenfold of the tokens; tau: Kendall's; p-values without the curve's first and last point, and
    slope_hangs_on: the end (`first`, `last`, `both`) without which the verdict would be another.
    """
    axis = Axis.of(checkpoints)
    rows = []
    for index, values, at in curves.select("index", "values", "rows").iter_rows():
        found = curve_trend(index, values, draws[at], axis, level)
        line, log_line = found.line, found.log_line
        rows.append(
            [
                *(line.slope, line.stderr, line.low, line.high, line.p, line.detectable),
                line.examples,
                *(log_line.slope, log_line.low, log_line.high, log_line.p),
                *(found.tau, found.tau_p, found.p_without_first, found.p_without_last),
                found.hangs_on(1 - level),
            ]
        )
    table = pl.DataFrame(rows, schema=TREND, orient="row")
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


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
            GUESS.last().alias("guess"),
            GUESSED.last().alias("constant"),
        )
    )


def _above_zero(estimates: Estimates, level: float) -> np.ndarray:
    """Whether the lower limit is above zero, or the value where no error is known."""
    low = estimates.interval(level)[1]
    return np.where(np.isnan(low), estimates.values, low) > 0


def base_scores(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Score of every base checkpoint on every dataset, with its interval.

    One row per (dataset, checkpoint): value, chance (null for generation), majority (what the most
    frequent gold answer earns; null for generation and without per-example results), label_mass
    (probability of all labels together, of a classification: under 0.01 the score compares what the
    model would not say), truncated (share of the prompts that were cut to fit the context), stderr,
    ci_low, ci_high.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(BASE).sort("family", "dataset", "index")
    table = base.select(
        *("family", "dataset", "kind", "metric", "format", "shots", *CHECKPOINT),
        *("n", "chance", MAJORITY, "label_mass", "truncated", "value"),
    )
    scored = Estimates(base["value"].to_numpy(), view.draws[base["row"].to_numpy()])
    return with_interval(table, scored, settings.level)


@once
def groups(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Sort datasets into `learned` and `not_learned` in pre-training.

    The rule: a dataset is *learned* if its base score rises from the first to the last checkpoint
    by at least ``rise_margin``, the interval of that rise excludes zero, and guessing does not
    explain it: the last score is above chance, and above what a constant answer earns, by more
    than its interval, and is no constant answer itself; a rise that starts clearly below chance
    counts from there. It states in numbers what the paper (its section 5) decides by eye: "rises
    early" against "flat".

    One row per dataset: first, last, rise with its interval (of these two checkpoints), slope with
    an interval and p-value (slope_p) that treat the checkpoints as a sample, slope_p_adjusted over
    the rows of the table (Benjamini and Hochberg, 1995), guess (what a constant answer earns),
    and group. ``paper_group`` repeats the published assignment where one is given.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(BASE).sort("dataset", "index")
    curves = (
        base.group_by("dataset", maintain_order=True)
        .agg(
            pl.col("family", "kind", "metric", "format", "shots", "chance").last(),
            pl.col("checkpoint").first().alias("first_checkpoint"),
            pl.col("checkpoint").last().alias("last_checkpoint"),
            pl.len().cast(pl.Int64).alias("n_checkpoints"),
            pl.col("row").alias("rows"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    rows = curves["rows"].to_list()
    about = curve_table(view, rows, settings)
    about = about.rename({f"rise_{name}": name for name in ("stderr", "ci_low", "ci_high")})
    group = pl.when("learned").then(pl.lit("learned")).otherwise(pl.lit("not_learned"))
    return (
        pl.concat([curves.drop("rows"), about], how="horizontal")
        .with_columns(
            adjusted(about["slope_p"]).alias("slope_p_adjusted"),
            group.alias("group"),
            pl.col("dataset")
            .replace_strict(dict(settings.paper_groups), default=None, return_dtype=pl.String)
            .alias("paper_group"),
        )
        .drop("learned")
    )


CURVE = [*ARM, "dataset"]


def latent(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Compare the curve of the tuned models with that of their base models.

    For every (arm, dataset) of the task's own family, and for base and tuned scores
    (prefixes base_ and tuned_): first and last score; their rise with its interval, which is about
    these two checkpoints; the slope of the line through all checkpoints, with an interval and a
    p-value (slope_p) that treat the checkpoints as a sample; and Kendall's tau against the order
    of checkpoints with its exact two-sided p-value (base_p, tuned_p), ties included. The p-values
    of both tests are adjusted over all curves of the table (slope_p_adjusted, p_adjusted;
    Benjamini and Hochberg, 1995).

    ``latent`` is true where the tuned curve is learned while the base curve is not: it rises by at
    least ``rise_margin``, the interval of the rise excludes zero, and guessing does not explain it
    (see `groups`): the paper's section 5 in numbers.

    Both tests' null is that the checkpoints are exchangeable; a slowly wandering score passes
    for a trend, and to tau so do examples that turn easier or harder one after the other
    (docs/analysis.md). tau depends on the order only, and few checkpoints can never give a small
    p-value (with 6 of them the smallest possible one is 0.003, with 4 it is 0.083).
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(pl.col("domain").is_in(["in", "out"])).sort(*CURVE, "index")
    curves = (
        pairs.group_by(CURVE, maintain_order=True)
        .agg(
            pl.col("domain", "family", "kind", "metric", "format", "shots").first(),
            pl.col("n_seeds").min(),
            pl.len().cast(pl.Int64).alias("n_checkpoints"),
            pl.col("checkpoint").first().alias("first_checkpoint"),
            pl.col("checkpoint").last().alias("last_checkpoint"),
            pl.col("base_row").alias("base"),
            pl.col("row").alias("tuned"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    tables = [
        curve_table(view, curves[which].to_list(), settings)
        .rename({"tau_p": "p"})
        .select(pl.all().name.prefix(f"{which}_"))
        for which in ("base", "tuned")
    ]
    table = pl.concat([curves.drop("base", "tuned"), *tables], how="horizontal")
    return table.with_columns(
        *_adjusted_pair(table, "p"),
        *_adjusted_pair(table, "slope_p"),
        (pl.col("tuned_learned") & ~pl.col("base_learned")).alias("latent"),
    )


def _adjusted_pair(table: pl.DataFrame, test: str) -> list[pl.Series]:
    """P-values of a test of the base and the tuned curves, adjusted for all of them."""
    found = adjusted(pl.concat([table[f"base_{test}"], table[f"tuned_{test}"]]))
    half = len(table)
    return [
        found[:half].alias(f"base_{test}_adjusted"),
        found[half:].alias(f"tuned_{test}_adjusted"),
    ]
