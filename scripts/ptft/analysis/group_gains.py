"""Gain of the two groups of datasets, by checkpoint (the paper's Table 6)."""

from __future__ import annotations

import polars as pl

from ptft.analysis.groups import groups
from ptft.analysis.scores import CHECKPOINT, Scores, aggregate, flag_holes, gain_replicates
from ptft.analysis.settings import Settings


def group_gains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean gain over the datasets of each group, by checkpoint.

    A dataset counts with the models tuned for it (domain `in`; ``tuned_for`` "own task"). One that
    no task trains for counts with every tuned model ("other tasks"), in rows of its own: what
    fine-tuning does to a skill it did not aim at is not to be averaged with what it aimed at.
    Each (task, dataset) pair weighs the same.

    One row a (group, tuned_for, method, checkpoint): gain, its interval, n_cells, datasets, and
    ``complete``, false where a pair that other checkpoints have is missing.
    """
    view = scores.main_view(settings.format, settings.shots)
    group_of = groups(scores, settings).select("dataset", "group")
    inside = pl.col("domain") == "in"
    pairs = (
        view.pairs()
        .join(group_of, on="dataset")
        .filter(inside | ~inside.any().over("dataset"))
        .with_columns(
            pl.when(inside)
            .then(pl.lit("own task"))
            .otherwise(pl.lit("other tasks"))
            .alias("tuned_for")
        )
    )
    gain = (pairs["value"] - pairs["base"]).to_numpy()
    by = ["group", "tuned_for", "method", *CHECKPOINT]
    table = aggregate(pairs, "gain", gain, gain_replicates(view, pairs), by, settings.level)
    return flag_holes(table, by[:3]).sort(*by[:3], "index")
