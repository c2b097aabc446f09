"""Scores by prompt format (the paper's task-format curves)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.figures.style import (
    checkpoint_axis,
    curve,
    from_zero,
    legend_below,
    method_line,
    nothing_to_draw,
    outer_labels,
    panels,
)
from ptft.language.translation import Translate

COLUMNS = 4


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """A panel a model and dataset, one line a format; base models first, then tuned."""
    table = tables["formats"]
    if table.is_empty():
        return nothing_to_draw(translate("only one prompt format was evaluated"))
    table = table.with_columns(ci_low=None, ci_high=None)
    tuned = table.filter(pl.col("method").is_not_null())
    # A base panel stands beside the tuned ones, for the datasets that have one.
    shown = (
        table.filter(pl.col("dataset").is_in(tuned["dataset"].unique().to_list()))
        if len(tuned)
        else table
    )
    keys = shown.select("dataset", "method", "train_task").unique().sort(pl.all())
    formats = shown["format"].unique().sort().to_list()
    methods = tuned["method"].unique().to_list()
    figure, axes = panels(len(keys), COLUMNS)
    for ax, (dataset, method, task) in zip(axes, keys.iter_rows(), strict=True):
        rows = shown.filter(
            pl.col("dataset") == dataset,
            pl.col("method").eq_missing(method),
            pl.col("train_task").eq_missing(task),
        )
        for number, format_name in enumerate(formats):
            curve(ax, rows.filter(pl.col("format") == format_name), "value", format_name, number)
        model = translate("tuned") + method_line(method, methods) if method else translate("base")
        ax.set_title(f"{dataset}: {model}")
        from_zero(ax)
        checkpoint_axis(ax, table, translate)
        ax.set_ylabel(rows["metric"][0])
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    return figure
