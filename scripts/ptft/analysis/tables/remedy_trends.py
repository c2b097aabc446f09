"""Does more pre-training make a remedy work better, or worse?"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.points import Points
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.equal_gain import compared, is_reference
from ptft.analysis.tables.learning import adjusted, curve_of, trend_table

LINE = ["train_task", "target", "method", "swept", "derived"]


def remedy_trends(scores: Scores, settings: Settings) -> pl.DataFrame:
    """How the forgetting that a method spares at equal gain changes over pre-training.

    One row per (task, target, method): spared_first and spared_last, at the earliest and the latest
    checkpoint at which the method gains enough, n_checkpoints of these, and slope, that of the
    least-squares line per checkpoint, with an interval and a p-value that treat the checkpoints as
    a sample (as in table `gain_trends`; null with fewer than three). ``p_adjusted`` is adjusted
    over the table (Benjamini and Hochberg, 1995).
    """
    points = Points.of(scores, settings)
    rows, found = compared(points, settings)
    schema = {**dict.fromkeys(LINE, pl.String), "index": pl.Int64}
    curves = (
        pl.DataFrame(rows, schema=schema)
        .with_columns(spared=pl.Series([row[0] for row in found["spared"]], dtype=pl.Float64))
        .with_row_index("row")
        .filter(pl.col("spared").is_not_nan())
        .filter(~is_reference())
        .sort(*LINE, "index")
        .group_by(LINE, maintain_order=True)
        .agg(*curve_of("spared"))
        .filter(pl.col("n_checkpoints") > 1)
    )
    draws = np.array([row[1 : 1 + points.gain.draws] for row in found["spared"]])
    trends = trend_table(draws, curves, settings.level)
    table = pl.concat([curves.drop("index", "values", "rows"), trends], how="horizontal")
    return table.with_columns(p_adjusted=adjusted(table["slope_p"]))
