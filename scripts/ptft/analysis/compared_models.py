"""Which tuned model represents a task, and which others are compared with it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ptft.analysis.scores import checkpoint_index

REFERENCE = "full"
"""method that remedies are compared with"""


@dataclass(frozen=True)
class Compared:
    """The tuned models of a checkpoint and task: the shown one, and others."""

    checkpoint: str
    task: str
    shown: str
    remedies: list[str]
    """arms that are compared with it; empty if it is not full fine-tuning"""


def compared_models(cells: pl.DataFrame, arms: pl.DataFrame) -> list[Compared]:
    """The models of each checkpoint and task, with the first training seed of their method.

    The study's first method for the task is shown, at the setting that validation chooses, or else
    the first in the study's file.

    Args:
        cells: the cells table.
        arms: table of fine-tuned models (``ptft.analysis.arms``), in the study's order.
    """
    run = ["method", "train_task"]
    tuned = cells.filter(pl.col("method").is_not_null())
    tuned = tuned.select("checkpoint", "step", "tokens", "arm", *run, "seed", "derived").unique()
    if tuned.is_empty():
        return []
    written = arms.with_row_index("written").select("checkpoint", "arm", "written", "chosen")
    ordered = (
        tuned.with_columns(checkpoint_index(tuned))
        .filter(pl.col("seed").eq_missing(pl.col("seed").min().over(run)))
        .join(written, on=["checkpoint", "arm"], how="left")
        .sort("index", "written", "arm", nulls_last=True)
    )
    found = []
    for (checkpoint, task), models in ordered.group_by(
        "checkpoint", "train_task", maintain_order=True
    ):
        trained = models.filter(pl.col("derived").is_null())
        if trained.is_empty():
            continue
        of_method = trained.filter(pl.col("method") == trained["method"][0])
        shown = of_method.sort(~pl.col("chosen").fill_null(False), maintain_order=True).row(0)
        shown_arm, method = shown[of_method.columns.index("arm")], of_method["method"][0]
        others = [arm for arm in models["arm"] if arm != shown_arm]
        found.append(Compared(checkpoint, task, shown_arm, others if method == REFERENCE else []))
    return found
