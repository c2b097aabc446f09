"""More pre-training, worse fine-tuning?"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.arms import CHOSEN
from ptft.analysis.best_of_curve import decline
from ptft.analysis.estimates import Change, SeedPart
from ptft.analysis.points import mean_points
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import bounded_change
from ptft.analysis.tables.learning import adjusted
from ptft.analysis.tradeoff import Versions

CURVE = ["train_task", "method", "swept", "setting"]
# Measure -> domain of the datasets that it averages, and what of tuned and base scores it takes.
MEASURES: dict[str, tuple[str, Change]] = {
    "tuned score": ("in", lambda tuned, base: tuned),
    "gain": ("in", np.subtract),
    "kept": ("cross", bounded_change),
}


def overtraining(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Whether the last checkpoint is worse to fine-tune from than the best one.

    One row per (task, method, setting, measure). Measures: ``tuned score`` and ``gain``, means over
    the task's own test sets; ``kept``, the mean bounded change on other families. A setting,
    such as a learning rate, is the same at all checkpoints; "(chosen)" is the one that validation
    chooses at each (table `arms`): a decline at a fixed rate may only mean that the later
    checkpoint needs another one.

    drop = best - last; drop_low, its lower limit, and p are corrected for selecting the best
    (``ptft.analysis.best_of_curve``), p_adjusted over the table as well (Benjamini and Hochberg,
    1995); drop_detectable is the smallest true drop found with a power of 80 %. All of it is about
    these checkpoints: public ones also differ in their pre-training learning rate, and a falling
    rate alone makes weights more sensitive. best_pretraining_lr and last_pretraining_lr are these
    rates, if the model's file has them.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(pl.col("train_task").is_not_null(), pl.col("derived").is_null())
    rates = _pretraining_rates(scores.arms)
    rows = []
    for measure, (domain, change) in MEASURES.items():
        means, versions = mean_points(view, pairs.filter(pl.col("domain") == domain), change)
        whole = pl.col("datasets") == pl.col("datasets").last().over(CURVE)
        curves = (
            means.with_row_index("point")
            .sort("index")
            .filter(whole)
            .group_by(CURVE, maintain_order=True)
            .agg("point", "checkpoint", pl.col("n_seeds").min())
            .filter(pl.col("point").list.len() > 1)
            .sort(CURVE, nulls_last=False)
        )
        for curve in curves.iter_rows(named=True):
            rows.append(_row(curve, measure, versions, settings.level, rates))
    table = pl.DataFrame(rows, schema=SCHEMA)
    return table.with_columns(p_adjusted=adjusted(table["p"]))


def _pretraining_rates(arms: pl.DataFrame | None) -> dict[str, float | None]:
    """Checkpoint -> learning rate that pre-training had there, as table `arms` knows it."""
    if arms is None or "pretraining_lr" not in arms.columns:
        return {}
    return dict(arms.select("checkpoint", "pretraining_lr").unique().iter_rows())


def _row(
    curve: dict, measure: str, versions: Versions, level: float, rates: dict[str, float | None]
) -> dict:
    points, names = curve["point"], curve["checkpoint"]
    estimates = versions.estimates(versions.values[points])
    assert estimates.seeds is not None
    last = SeedPart(*(np.repeat(part[-1:], len(points)) for part in _parts(estimates.seeds)))
    found = decline(
        estimates.values, estimates.draws[:], SeedPart.total([estimates.seeds, last]), level
    )
    return {
        **{name: curve[name] for name in CURVE},
        "measure": measure,
        "fixed": curve["setting"] != CHOSEN,
        "n_seeds": curve["n_seeds"],
        "n_checkpoints": len(points),
        "best_checkpoint": names[found.best],
        "best_pretraining_lr": rates.get(names[found.best]),
        "best": estimates.values[found.best],
        "last_checkpoint": names[-1],
        "last_pretraining_lr": rates.get(names[-1]),
        "last": estimates.values[-1],
        "drop": found.drop,
        "drop_low": None if np.isnan(found.low) else found.low,
        "drop_detectable": None if np.isnan(found.detectable) else found.detectable,
        "p": None if np.isnan(found.p) else found.p,
    }


def _parts(seeds: SeedPart) -> tuple[np.ndarray, np.ndarray]:
    return seeds.variance, seeds.freedom


SCHEMA = {
    **dict.fromkeys([*CURVE, "measure"], pl.String),
    "fixed": pl.Boolean,
    **dict.fromkeys(["n_seeds", "n_checkpoints"], pl.Int64),
    "best_checkpoint": pl.String,
    **dict.fromkeys(["best_pretraining_lr", "best"], pl.Float64),
    "last_checkpoint": pl.String,
    **dict.fromkeys(
        ["last_pretraining_lr", "last", "drop", "drop_low", "drop_detectable", "p"], pl.Float64
    ),
}
