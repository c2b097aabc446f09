"""Gain of the two groups of datasets, by checkpoint (the paper's Table 6)."""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import Changes, aggregate, flag_holes
from ptft.analysis.scores import CHECKPOINT, METHOD, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.groups import groups

LINE = ["group", "tuned_for", *METHOD]


def group_gains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean gain over the datasets of each group, by checkpoint.

    A dataset counts with the models tuned for it (domain `in`; ``tuned_for`` "own task"). One that
    no task trains for counts with the models tuned within its family ("own family") and with the
    others ("other tasks"), in rows of their own: what
    fine-tuning does to a skill it did not aim at is not to be averaged with what it aimed at.
    Each (task, dataset) pair weighs the same.

    One row per (group, tuned_for, method, checkpoint): gain, its interval, n_cells, datasets, and
    ``complete``, false where a pair that other checkpoints have is missing.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = grouped_pairs(view, scores, settings)
    by = [*LINE, *CHECKPOINT]
    table = aggregate(pairs, "gain", Changes.of(view, pairs), by, settings.level)
    return flag_holes(table, LINE).sort(*LINE, "index")


def grouped_pairs(view: Scores, scores: Scores, settings: Settings) -> pl.DataFrame:
    """Rows of ``Scores.pairs`` that count for a group, with columns group and tuned_for."""
    group_of = groups(scores, settings).select("dataset", "group")
    inside = pl.col("domain") == "in"
    return (
        view.pairs()
        .join(group_of, on="dataset")
        .filter(inside | ~inside.any().over("dataset"))
        .with_columns(
            pl.col("domain")
            .replace_strict({"in": "own task", "out": "own family"}, default="other tasks")
            .alias("tuned_for")
        )
    )
