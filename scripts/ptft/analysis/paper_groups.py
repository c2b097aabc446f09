"""Gain of the two groups as a publication assigns them: the paper's Table 6."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.scores import CHECKPOINT, Scores, aggregate, flag_holes, gain_replicates
from ptft.analysis.settings import Settings


def paper_groups(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean in-domain gain over the datasets of ``settings.paper_groups``, by checkpoint.

    The paper's Table 6: mean over (task, dataset) pairs of tuned minus base, one row a (group,
    method, checkpoint). ``gain`` counts every dataset once; ``gain_as_published`` counts those of
    ``paper_double_counted`` twice, as the published numbers do; ``double_counting`` is the
    difference.
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
    by = ["group", "method", *CHECKPOINT]
    gain = (pairs["value"] - pairs["base"]).to_numpy()
    table = aggregate(pairs, "gain", gain, gain_replicates(view, pairs), by, settings.level)
    twice = pairs["dataset"].is_in(settings.paper_double_counted).to_numpy()
    order = np.concatenate([np.arange(len(pairs)), np.flatnonzero(twice)])
    published = aggregate(
        pairs[order.tolist()],
        "gain_as_published",
        gain[order],
        gain_replicates(view, pairs)[order],
        by,
        settings.level,
    ).select(*by, "gain_as_published")
    return (
        flag_holes(table.join(published, on=by, nulls_equal=True), by[:2])
        .with_columns((pl.col("gain_as_published") - pl.col("gain")).alias("double_counting"))
        .sort(*by[:2], "index")
    )
