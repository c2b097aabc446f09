"""Which datasets are learned in pre-training already, by a rule on the base scores."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.scores import BASE, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.learning import adjusted, curve_table, learned_share


def groups(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Sort datasets into `learned` and `not_learned` in pre-training.

    The rule: a dataset is *learned* if its base score rises from the first to the last checkpoint
    by at least ``rise_margin``, the interval of that rise excludes zero, and guessing does not
    explain it: the last score is above chance, and above what a constant answer earns, by more
    than its interval, and is no constant answer itself; a rise that starts clearly below chance
    counts from there. It states in numbers what the paper (its section 5) decides by eye: "rises
    early" against "flat".

    One row per dataset: first, last, rise with its interval (of these two checkpoints), slope with
    an interval and p-value (slope_p) that treat the checkpoints as a sample, slope_p_adjusted over
    the rows of the table (Benjamini and Hochberg, 1995), guess (what a constant answer earns),
    group, and support: the share of draws in which the rise and
    the last score lead to the same group (null where no error is known). ``paper_group`` repeats
    the published assignment where one is given.
    """
    view = scores.main_view(settings.format, settings.shots)
    base = view.cells.filter(BASE).sort("dataset", "index")
    curves = (
        base.group_by("dataset", maintain_order=True)
        .agg(
            pl.col("family", "kind", "metric", "format", "shots", "chance").last(),
            pl.col("checkpoint").first().alias("first_checkpoint"),
            pl.col("checkpoint").last().alias("last_checkpoint"),
            pl.len().cast(pl.Int64).alias("n_checkpoints"),
            pl.col("row").alias("rows"),
        )
        .filter(pl.col("n_checkpoints") > 1)
    )
    rows = curves["rows"].to_list()
    about = curve_table(view, rows, settings).drop("tau", "tau_p")
    about = about.rename({f"rise_{name}": name for name in ("stderr", "ci_low", "ci_high")})
    group = pl.when("learned").then(pl.lit("learned")).otherwise(pl.lit("not_learned"))
    share = learned_share(view, rows, settings)
    support = np.where(about["learned"].to_numpy(), share, 1 - share)
    return (
        pl.concat([curves.drop("rows"), about], how="horizontal")
        .with_columns(
            adjusted(about["slope_p"]).alias("slope_p_adjusted"),
            group.alias("group"),
            pl.Series("support", support, dtype=pl.Float64).fill_nan(None),
            pl.col("dataset")
            .replace_strict(dict(settings.paper_groups), default=None, return_dtype=pl.String)
            .alias("paper_group"),
        )
        .drop("learned")
    )
