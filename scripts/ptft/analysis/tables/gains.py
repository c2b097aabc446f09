"""Gains by fine-tuning: tuned minus base, by dataset and by group of datasets.

Tables `gains`, `trainings`, `group_gains`, `gain_trends` and `paper_groups`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import (
    Change,
    Changes,
    Estimates,
    SeedPart,
    aggregate,
    flag_incomplete,
    mean_changes,
    with_comparison,
    with_interval,
)
from ptft.analysis.scores import ARM, CHECKPOINT, MAJORITY, METHOD, Scores, once
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import score_interval
from ptft.analysis.tables.forgetting import bounded_change
from ptft.analysis.tables.learning import curve_of, groups, trend_table
from ptft.analysis.tuned_models import CHOICE, learned_seeds


def gains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Gain = tuned score minus base score of the same checkpoint, dataset, format and shots.

    One row per (checkpoint, arm, dataset). ci_low and ci_high are the interval of the
    difference, paired over the examples where per-example results exist; base_ci_low, tuned_ci_low
    and so on are that of each score by itself. With several seeds they cover them; with one
    (``n_seeds``) they are about this one tuned model, not about the method. detectable: the
    smallest true gain that would be found, i.e. whose interval excludes zero, with a power of 80 %.
    n_learned: of how many seeds the training learned (table `trainings`).
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().sort(*ARM, "domain", "dataset", "index")
    table = pairs.select(
        *(*CHECKPOINT, *ARM, "n_seeds", "family", "dataset", "domain", "kind", "metric"),
        *("format", "shots", "n", "chance", MAJORITY, "base"),
        pl.col("value").alias("tuned"),
        (pl.col("value") - pl.col("base")).alias("gain"),
    )
    table = with_comparison(table, Changes.of(view, pairs).estimates, settings.level)
    table = table.with_columns(pl.col("ci_low", "ci_high").clip(-1, 1))
    table = _with_learned(table, scores)
    for name, row in (("base", "base_row"), ("tuned", "row")):
        table = _with_own_interval(table, view, pairs[row].to_numpy(), name, settings.level)
    return table


def _with_learned(table: pl.DataFrame, scores: Scores) -> pl.DataFrame:
    """Add n_learned, after n_seeds; null where it is not known or the arm is derived."""
    null = pl.lit(None, pl.Int64).alias("n_learned")
    if scores.arms is None or not scores.arms["learned"].count():
        return table.with_columns(null)
    counts = learned_seeds(scores.arms).filter(pl.col("trained") > 0)
    counts = counts.select(*CHOICE, "setting", n_learned="learned")
    joined = table.join(
        counts, on=[*CHOICE, "setting"], how="left", nulls_equal=True, maintain_order="left"
    )
    return joined.with_columns(n_learned=pl.when(pl.col("derived").is_null()).then("n_learned"))


def _with_own_interval(
    table: pl.DataFrame, view: Scores, rows: np.ndarray, name: str, level: float
) -> pl.DataFrame:
    """Add the interval of the score ``name``, row by row in ``rows`` of ``view``."""
    seeds = SeedPart.of(view.by_seed[rows])
    scores = Estimates(table[name].to_numpy(), view.draws[rows], seeds)
    # A score is between 0 and 1; where few seeds widen it, its interval is, too.
    limits = pl.col(f"{name}_ci_low", f"{name}_ci_high").clip(0, 1)
    return with_interval(table, scores, level, f"{name}_").with_columns(limits)


TRAININGS = schema(
    *(*CHECKPOINT, "method", "train_task", "setting", "trained", "learned", "share"),
    *("ci_low", "ci_high", "gain", "gain_if_learned", "kept", "kept_if_learned"),
    **dict.fromkeys(["trained", "learned"], pl.Int64),
)
KEPT_BY: dict[str, tuple[str, Change]] = {
    "gain": ("in", np.subtract),
    "kept": ("cross", bounded_change),
}
"""mean -> domain of its datasets, and what of tuned and base score it takes"""


def trainings(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How many trainings learned, and what is gained and kept with and without the others.

    One row per (checkpoint, arm): ``trained``, seeds of which it is known; ``learned``, how many of
    these learned, by their own examples (column ``training`` of table `arms`); their ``share`` with
    Wilson's interval. ``gain``: mean gain on the task's own test sets, over all seeds;
    ``gain_if_learned``: over those that learned; ``kept`` and ``kept_if_learned``: the mean bounded
    change on other families (as in table `tradeoff`). No rows where nothing is known.
    """
    arms = scores.arms
    if arms is None or not arms["learned"].count():
        return pl.DataFrame(schema=TRAININGS)
    by = [*CHOICE, "setting"]
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(pl.col("derived").is_null(), pl.col("train_task").is_not_null())
    found = []
    for key, counts in (
        learned_seeds(arms).filter(pl.col("trained") > 0).group_by(by, maintain_order=True)
    ):
        own = pairs.filter(pl.col(k).eq_missing(pl.lit(v)) for k, v in zip(by, key, strict=True))
        if own.is_empty():
            continue
        learned = counts["seeds"].to_list()[0]
        row = own.row(0, named=True) | counts.row(0, named=True)
        for name, (domain, change) in KEPT_BY.items():
            part = own.filter(pl.col("domain") == domain)
            scored = view.by_seed[part["row"].to_numpy()]
            by_seed = change(scored, part["base"].to_numpy()[:, None])
            chosen = by_seed[:, [seed in learned for seed in view.seeds]]
            row |= {name: _mean(by_seed), f"{name}_if_learned": _mean(chosen)}
        row["share"] = share = row["learned"] / row["trained"]
        limits = score_interval(share, share * (1 - share) / row["trained"], row["trained"])
        row |= dict(zip(("ci_low", "ci_high"), map(float, limits), strict=True))
        found.append({name: row[name] for name in TRAININGS})
    return pl.DataFrame(found, schema=TRAININGS).sort("method", "train_task", "setting", "index")


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


LINE = ["group", *METHOD]


def group_gains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean gain over the datasets of each group, by checkpoint.

    A dataset counts with the models tuned for it (domain `in`). Each (task, dataset) pair weighs
    the same.

    One row per (group, method, checkpoint): gain, its interval, n_cells, datasets, and
    ``complete``, false where a pair that other checkpoints have is missing.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = grouped_pairs(view, scores, settings)
    by = [*LINE, *CHECKPOINT]
    table = aggregate(pairs, "gain", Changes.of(view, pairs), by, settings.level)
    return flag_incomplete(table, LINE).sort(*LINE, "index")


def grouped_pairs(view: Scores, scores: Scores, settings: Settings) -> pl.DataFrame:
    """Rows of ``Scores.pairs`` on the tasks' own test sets, with their group."""
    group_of = groups(scores, settings).select("dataset", "group")
    return view.pairs().filter(domain="in").join(group_of, on="dataset")


@once
def gain_trends(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How the mean gain of a group of datasets (table `group_gains`) changes over pre-training.

    One row per (group, method): gain_first and gain_last, the mean gains at both ends,
    and slope, that of the least-squares line through all of them, per checkpoint, with an interval
    and a p-value (slope_p) that treat the checkpoints as a sample: a t-test from their scatter
    about the line, with what the examples add to it. Checkpoints where a pair of task and dataset
    is missing are left out; slope_p is null with fewer than three.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = grouped_pairs(view, scores, settings)
    means, estimates = mean_changes(pairs, Changes.of(view, pairs), [*LINE, "index"])
    curves = (
        flag_incomplete(means, LINE)
        .with_columns(pl.Series("gain", estimates.values, pl.Float64))
        .with_row_index("row")
        .filter("complete")
        .sort(*LINE, "index")
        .group_by(*LINE, maintain_order=True)
        .agg(
            pl.col("datasets", "n_cells").first(),
            pl.col("n_seeds").min(),
            *curve_of("gain"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    trends = trend_table(estimates.draws, curves, scores.checkpoints, settings.level)
    return pl.concat([curves.drop("index", "values", "rows"), trends], how="horizontal")


def paper_groups(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean in-domain gain over the datasets of ``settings.paper_groups``, by checkpoint.

    The paper's Table 6: mean over (task, dataset) pairs of tuned minus base, one row per (group,
    method, checkpoint). ``gain`` counts every dataset once; ``gain_as_published`` counts those of
    ``paper_double_counted`` twice, as the published numbers do.
    """
    view = scores.main_view(settings.format, settings.shots)
    group = pl.col("dataset").replace_strict(
        dict(settings.paper_groups), default=None, return_dtype=pl.String
    )
    pairs = (
        view.pairs()
        .filter(pl.col("domain") == "in")
        .with_columns(group.alias("group"))
        .filter(pl.col("group").is_not_null())
    )
    line = ["group", *METHOD]
    by = [*line, *CHECKPOINT]
    table = aggregate(pairs, "gain", Changes.of(view, pairs), by, settings.level)
    twice = pairs.filter(pl.col("dataset").is_in(settings.paper_double_counted))
    published = (
        pl.concat([pairs, twice])
        .group_by(by)
        .agg(gain_as_published=(pl.col("value") - pl.col("base")).mean())
    )
    return (
        flag_incomplete(table, line).join(published, on=by, nulls_equal=True).sort(*line, "index")
    )
