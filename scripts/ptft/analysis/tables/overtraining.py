"""More pre-training, worse fine-tuning? And what noise on the weights costs.

Tables `overtraining`, `noise`, `along_pretraining` and `noise_sensitivity`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import Estimates, SeedPart, with_interval
from ptft.analysis.scores import ARM, BASE, CHECKPOINT, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.remedies import Versions, mean_points
from ptft.analysis.trends import Axis, curve_scatter
from ptft.analysis.tuned_models import CHOSEN

CURVE = ["train_task", "method", "swept", "setting"]


def overtraining(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How far the last checkpoint is worse to fine-tune from than the best one.

    One row per (task, method, setting), by the mean tuned score on the task's own test sets. A
    setting, such as a learning rate, is the same at all checkpoints; "(chosen)" is the one that
    validation chooses at each (table `arms`): a decline at a fixed rate may only mean that the
    later checkpoint needs another one.

    drop = best - last. The best of several noisy scores is too high: what is shown of the drop is
    the claim `drop` of table `claims`, of the setting that the page is about. All of it is about
    these checkpoints: ``twins`` says how far two models that should be alike differ in this score
    (table `noise`). Public checkpoints also differ in their pre-training learning rate, and a
    falling rate alone makes weights more sensitive. best_pretraining_lr and last_pretraining_lr are
    these rates, if the model's file has them.
    """
    view = scores.main_view(settings.format, settings.shots)
    rates, axis = _pretraining_rates(scores.arms), Axis.of(scores.checkpoints)
    means, versions = tuned_means(view)
    whole = pl.col("datasets") == pl.col("datasets").last().over(CURVE)
    curves = (
        means.with_row_index("point")
        .sort("index")
        .filter(whole)
        .group_by(CURVE, maintain_order=True)
        .agg("point", "checkpoint", "index", pl.col("n_seeds").min())
        .filter(pl.col("point").list.len() > 1)
        .sort(CURVE, nulls_last=False)
    )
    rows = []
    for curve in curves.iter_rows(named=True):
        whole = versions.values[curve["point"]]
        values, names = whole[:, 0], curve["checkpoint"]
        row = {name: curve[name] for name in (*CURVE, "n_seeds")}
        row |= {"fixed": curve["setting"] != CHOSEN, "n_checkpoints": len(names)}
        for end, at in (("best", int(np.argmax(values))), ("last", -1)):
            row |= {f"{end}_checkpoint": names[at], f"{end}_pretraining_lr": rates.get(names[at])}
            row[end] = values[at]
        found = curve_scatter(axis.places[curve["index"]], values, whole[:, 1 + versions.draws :])
        row |= {"drop": row["best"] - row["last"], "twins": found.twins, "twins_of": found.twins_of}
        rows.append(row)
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))


def tuned_means(view: Scores) -> tuple[pl.DataFrame, Versions]:
    """The mean tuned score of each model on its task's own test sets."""
    trained = pl.col("train_task").is_not_null() & pl.col("derived").is_null()
    pairs = view.pairs().filter(trained, domain="in")
    return mean_points(view, pairs, lambda tuned, base: tuned)


def _pretraining_rates(arms: pl.DataFrame | None) -> dict[str, float | None]:
    """Checkpoint -> learning rate that pre-training had there, as table `arms` knows it."""
    if arms is None or "pretraining_lr" not in arms.columns:
        return {}
    return dict(arms.select("checkpoint", "pretraining_lr").unique().iter_rows())


SCHEMA = schema(
    *CURVE,
    *("fixed", "n_seeds", "n_checkpoints"),
    *("best_checkpoint", "best_pretraining_lr", "best"),
    *("last_checkpoint", "last_pretraining_lr", "last"),
    *("drop", "twins", "twins_of"),
    **dict.fromkeys(["best_checkpoint", "last_checkpoint"], pl.String),
    fixed=pl.Boolean,
)


def noise(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How far scores scatter from checkpoint to checkpoint, and how far two models alike differ.

    One row per curve (base models or tuned ones, by dataset) with at least two checkpoints:
    ``scatter``, the standard deviation of a checkpoint about the line between its neighbours (null
    with fewer than three); ``range``, the highest score less the lowest; ``signal_to_noise``, range
    over scatter: choose datasets where it is high (Heineman et al. 2025, arXiv 2508.13144, compare
    what models differ by with what checkpoints do). ``twins``: root mean square of the difference
    of two models that should be alike, by ``twins_of``: `seeds`, checkpoints with nearly the `same
    tokens`, or `neighbours` (square root of 2 times the scatter). A difference of two points of a
    curve that is no larger says nothing about more pre-training, however small its p-value.
    """
    view = scores.main_view(settings.format, settings.shots)
    axis = Axis.of(view.checkpoints)
    line = [*ARM, "domain", "family", "dataset", "kind", "metric"]
    cells = view.cells.filter(pl.col("derived").is_null()).sort("index")
    rows = []
    for key, curve in cells.group_by(line, maintain_order=True):
        if len(curve) < 2:
            continue
        values = curve["value"].to_numpy()
        by_seed = view.by_seed[curve["row"].to_numpy()]
        found = curve_scatter(axis.places[curve["index"].to_numpy()], values, by_seed)
        spread = float(np.ptp(values))
        rows.append(
            dict(zip(line, key, strict=True))
            | {
                "n_checkpoints": len(curve),
                "n_seeds": curve["n_seeds"].min(),
                "range": spread,
                "scatter": found.steps,
                "signal_to_noise": spread / found.steps if found.steps > 0 else None,
                "twins": found.twins,
                "twins_of": found.twins_of,
            }
        )
    table = pl.DataFrame(rows, schema=NOISE_SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))
    return table.sort("dataset", *ARM, nulls_last=False)


NOISE_SCHEMA = schema(
    *ARM,
    *("domain", "family", "dataset", "kind", "metric", "n_checkpoints", "n_seeds"),
    *("range", "scatter", "signal_to_noise", "twins", "twins_of"),
)


NOISE = "noise"


def noise_sensitivity(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Change of a base model's score per unit of noise on its weights.

    Noise of strength g adds to each weight matrix a normal error of g times the standard deviation
    of the matrix. One row per (checkpoint, dataset): ``sensitivity`` is the slope of the line
    through the origin of (strength, noised minus base), least squares over the strengths, in points
    per unit of strength, with its paired interval; seeds are averaged, and the interval covers them
    where there are several. ``strengths``: those that the line goes through; ``largest_change``:
    the change at the strongest. Scores that noise has brought to chance can fall no further: keep
    the strengths small.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(BASE).select("checkpoint", "dataset", pl.col("row").alias("base_row"))
    noised = view.cells.filter(
        pl.col("method").is_null(), pl.col("derived") == NOISE, pl.col("strength") > 0
    )
    groups = (
        noised.join(base, on=["checkpoint", "dataset"])
        .sort("dataset", "index", "strength")
        .group_by(*CHECKPOINT, "dataset", maintain_order=True)
        .agg(
            pl.col("family", "kind", "metric", "base_row").first(),
            pl.col("n_seeds").min(),
            pl.col("strength").alias("_strengths"),
            pl.col("row").alias("_rows"),
        )
    )
    values, draws, by_seed, changes = [], [], [], []
    for rows, base, strengths in groups.select("_rows", "base_row", "_strengths").iter_rows():
        weights = np.array(strengths) / np.dot(strengths, strengths)
        own = view.by_seed[rows] - np.nanmean(view.by_seed[base])
        change = np.nanmean(own, axis=1)
        values.append(weights @ change)
        draws.append(weights @ (view.draws[rows] - view.draws[base]))
        by_seed.append(weights @ own)
        changes.append(change[-1])
    table = groups.select(
        *CHECKPOINT,
        *("dataset", "family", "kind", "metric", "n_seeds"),
        pl.col("_strengths").cast(pl.List(pl.String)).list.join(" ").alias("strengths"),
        pl.Series("largest_change", changes, pl.Float64),
        pl.Series("sensitivity", values, pl.Float64),
    )
    if table.is_empty():
        return with_interval(table, Estimates(np.empty(0), np.empty((0, 0))), settings.level)
    slopes = Estimates(np.array(values), np.array(draws), SeedPart.of(np.array(by_seed)))
    return with_interval(table, slopes, settings.level)


def along_pretraining(scores: Scores, settings: Settings) -> pl.DataFrame:
    """The scores that table `overtraining` compares, by checkpoint.

    One row per (checkpoint, task, method, setting): ``value`` is the mean tuned score over
    ``datasets``, with the interval over examples and, if there are several, seeds; ``fixed`` is
    false under the setting "(chosen)", the one that validation chooses at each checkpoint.
    """
    means, versions = tuned_means(scores.main_view(settings.format, settings.shots))
    values = versions.values if len(means) else np.empty((0, 1))
    table = means.select(
        *CHECKPOINT,
        *CURVE,
        fixed=pl.col("setting").ne_missing(pl.lit(CHOSEN)),
        n_seeds=pl.col("n_seeds").cast(pl.Int64),
        datasets="datasets",
        value=pl.Series(values[:, 0], dtype=pl.Float64),
    )
    return with_interval(table, versions.estimates(values), settings.level)
