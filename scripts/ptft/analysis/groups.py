"""Which datasets are learned in pre-training already, by a rule on the base scores."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.scores import Scores, with_interval
from ptft.analysis.settings import Settings


def groups(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Sort datasets into `learned` and `not_learned` in pre-training.

    The rule: a dataset is *learned* if its base score rises from the first to the last checkpoint
    by at least ``rise_margin``, the interval of that rise excludes zero, and, where a chance level
    is known, the last score lies above it by more than its interval. It states in numbers what the
    paper (its section 5) decides by eye: "rises early" against "flat".

    One row a dataset: first, last, rise with its interval, group, and support: the share of
    bootstrap resamples in which the rise and the chance condition lead to the same group (null
    where no error is known). ``paper_group`` repeats the published assignment where one is given.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(pl.col("method").is_null()).sort("dataset", "index")
    ends = (
        base.group_by("dataset", maintain_order=True)
        .agg(
            pl.col("family", "kind", "metric", "chance").last(),
            pl.col("checkpoint").first().alias("first_checkpoint"),
            pl.col("checkpoint").last().alias("last_checkpoint"),
            pl.len().cast(pl.Int64).alias("n_checkpoints"),
            pl.col("value").first().alias("first"),
            pl.col("value").last().alias("last"),
            pl.col("row").first().alias("first_row"),
            pl.col("row").last().alias("last_row"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    last = view.replicates[ends["last_row"].to_numpy()]
    rise = last - view.replicates[ends["first_row"].to_numpy()]
    table = with_interval(
        ends.with_columns((pl.col("last") - pl.col("first")).alias("rise")), rise, settings.level
    )
    # Where no chance level is known (generation) every score counts as above it.
    chance = ends["chance"].fill_null(-1.0).to_numpy()
    above = with_interval(
        ends.select(pl.Series("excess", ends["last"].to_numpy() - chance)),
        last - chance[:, None],
        settings.level,
    )
    # Without a known error the point estimates decide alone.
    learned = (
        (pl.col("rise") >= settings.rise_margin)
        & (pl.col("ci_low").fill_null(pl.col("rise")) > 0)
        & (above["ci_low"].fill_null(above["excess"]) > 0)
    )
    table = table.with_columns(
        pl.when(learned).then(pl.lit("learned")).otherwise(pl.lit("not_learned")).alias("group")
    )
    agree = ((rise >= settings.rise_margin) & (last > chance[:, None])).mean(axis=1)
    support = np.where(table["group"].to_numpy() == "learned", agree, 1 - agree)
    support[np.isnan(rise).any(axis=1)] = np.nan
    return table.with_columns(
        pl.Series("support", support).fill_nan(None),
        pl.col("dataset")
        .replace_strict(dict(settings.paper_groups), default=None, return_dtype=pl.String)
        .alias("paper_group"),
    ).drop("first_row", "last_row")
