"""Gain of the two groups as a publication assigns them: the paper's Table 6."""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import Changes, aggregate, flag_holes
from ptft.analysis.scores import CHECKPOINT, METHOD, Scores
from ptft.analysis.settings import Settings


def paper_groups(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean in-domain gain over the datasets of ``settings.paper_groups``, by checkpoint.

    The paper's Table 6: mean over (task, dataset) pairs of tuned minus base, one row per (group,
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
    line = ["group", *METHOD]
    by = [*line, *CHECKPOINT]
    table = aggregate(pairs, "gain", Changes.of(view, pairs), by, settings.level)
    twice = pairs.filter(pl.col("dataset").is_in(settings.paper_double_counted))
    once, published = (
        rows.group_by(by, maintain_order=True).agg(
            (pl.col("value") - pl.col("base")).mean().alias(name)
        )
        for rows, name in ((pairs, "once"), (pl.concat([pairs, twice]), "gain_as_published"))
    )
    return (
        flag_holes(table, line)
        .join(once, on=by, nulls_equal=True)
        .join(published, on=by, nulls_equal=True)
        .with_columns((pl.col("gain_as_published") - pl.col("once")).alias("double_counting"))
        .drop("once")
        .sort(*line, "index")
    )
