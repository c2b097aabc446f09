"""What of a tuned model tells how much it forgets, without scoring it on anything else."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.points import Points
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import rank_correlation
from ptft.analysis.tables.forgetting import ALL_TASKS

MODEL = ["checkpoint", "method", "train_task", "setting"]
# Column of the table `arms` -> what it is, for whoever reads the table.
PREDICTORS = {
    "kl_from_base": "KL divergence of the tuned model's predictions on the task from the base's",
    "relative_distance": "distance of the tuned weights from the base's, over the base's norm",
    "train_loss": "loss of the last update",
    "validation_loss": "loss on examples of the task that were held out",
}


def predictors(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Rank correlation, over tuned models, of forgetting with quantities known from training.

    A model is a (checkpoint, method, setting), seeds averaged; forgotten is the mean relative loss
    on the datasets of other families (the negative of ``kept`` in table `tradeoff`). One row a
    (task, predictor), and one over all tasks, which compares unlike tasks: Spearman's rho, the
    range null_low to null_high in which it is with probability ``level`` if the order of the
    models were chance, and the two-sided p-value, both by permutation. Models from one run of
    pre-training are not independent: the p-value is about these models.

    verdict: `related` if p is at most 1 - level, else `not shown`; `too few models` where no order
    of them could give such a p; `no spread` where one side is constant. KL on the new task is the
    predictor of Shenfeld, Pari and Agrawal (2025, arXiv 2509.04259).
    """
    if scores.arms is None:
        return pl.DataFrame(schema=SCHEMA)
    points = Points.of(scores, settings)
    own = points.table.with_columns(
        forgotten=pl.Series(-points.kept.values[:, 0], dtype=pl.Float64)
    ).filter(pl.col("derived").is_null())
    known = [name for name in PREDICTORS if name in scores.arms.columns]
    models = scores.arms.group_by(MODEL, maintain_order=True).agg(pl.col(known).mean())
    joined = own.join(models, on=MODEL, nulls_equal=True, maintain_order="left")
    groups = [
        *joined.sort("train_task", maintain_order=True).group_by("train_task", maintain_order=True)
    ]
    rows = [
        _row(task, name, models, settings)
        for (task,), models in [*groups, ((ALL_TASKS,), joined)]
        for name in known
    ]
    return pl.DataFrame([row for row in rows if row["n_models"]], schema=SCHEMA)


def _row(task: object, name: str, models: pl.DataFrame, settings: Settings) -> dict:
    models = models.filter(pl.col(name).is_not_null())
    found = rank_correlation(
        models[name].to_numpy(), models["forgotten"].to_numpy(), settings.level
    )
    alpha, unknown = 1 - settings.level, bool(np.isnan(found.rho))
    if unknown:
        verdict = "no spread" if len(models) > 2 else "too few models"
    elif found.smallest_p > alpha:
        verdict = "too few models"
    else:
        verdict = "related" if found.p <= alpha else "not shown"
    told = {"rho": found.rho, "null_low": found.null_low, "null_high": found.null_high}
    return {
        "train_task": task,
        "predictor": name,
        "meaning": PREDICTORS[name],
        "n_models": len(models),
        **({} if unknown else told | {"p": found.p}),
        "verdict": verdict,
    }


SCHEMA = {
    **dict.fromkeys(["train_task", "predictor", "meaning"], pl.String),
    "n_models": pl.Int64,
    **dict.fromkeys(["rho", "null_low", "null_high", "p"], pl.Float64),
    "verdict": pl.String,
}
