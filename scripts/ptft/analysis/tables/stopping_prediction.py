"""Does the few-shot turning point of the base models predict where pre-training could stop?"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.scores import ARM, METHOD, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import rank_correlation
from ptft.analysis.tables.stopping import stopping


def stopping_prediction(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Rank correlation, over tasks, of the base models' turning point and the stopping checkpoint.

    Both are positions of checkpoints (table `stopping`, by the scores as they are), averaged over
    the task's own test sets, so that a task counts once. One row per method: Spearman's rho, the
    range null_low to null_high in which it is with probability ``settings.level`` if the order
    of the tasks were chance, and the two-sided p-value, both from the permutations of the tasks
    (all of them, up to 7 tasks).

    verdict: `related` if p is at most 1 - level, else `not shown`; `too few tasks` where no order
    of these tasks, however clear, could give such a p (always with four or fewer); `no spread`
    where all tasks stop, or turn, at the same checkpoint.
    """
    order = scores.checkpoints.select("index", base_turn="checkpoint")
    tasks = (
        stopping(scores, settings)
        .join(order.rename({"index": "turn"}), on="base_turn")
        .group_by(ARM)
        .agg(pl.col("turn", "stop_index").mean(), pl.col("n_seeds").min())
        .sort(ARM)
    )
    rows = []
    for method, group in tasks.group_by(METHOD, maintain_order=True):
        turns, stops = group["turn"].to_numpy(), group["stop_index"].to_numpy()
        found = rank_correlation(turns, stops, settings.level)
        alpha = 1 - settings.level
        if np.isnan(found.rho):
            verdict = "no spread" if len(group) > 2 else "too few tasks"
        elif found.smallest_p > alpha:
            verdict = "too few tasks"
        else:
            verdict = "related" if found.p <= alpha else "not shown"
        known = not np.isnan(found.rho)
        rows.append(
            {
                **dict(zip(METHOD, method, strict=True)),
                "n_seeds": group["n_seeds"].min(),
                "n_tasks": len(group),
                "tasks": " ".join(group["train_task"]),
                "rho": found.rho if known else None,
                "null_low": found.null_low if known else None,
                "null_high": found.null_high if known else None,
                "p": found.p if known else None,
                "verdict": verdict,
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


SCHEMA = {
    **dict.fromkeys(METHOD, pl.String),
    "strength": pl.Float64,
    "n_seeds": pl.Int64,
    "n_tasks": pl.Int64,
    "tasks": pl.String,
    **dict.fromkeys(["rho", "null_low", "null_high", "p"], pl.Float64),
    "verdict": pl.String,
}
