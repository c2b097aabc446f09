"""Learned and forgotten examples, a column a task."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.figures.style import (
    COLOURS,
    GREY,
    PAGE,
    apply_style,
    checkpoint_axis,
    legend_below,
    method_line,
    nothing_to_draw,
)
from ptft.language.translation import Translate

ROWS = {"in": "own test sets", "cross": "other families"}
WIDTH = 0.6


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """Bars above zero: examples that score higher after fine-tuning; below zero: lower."""
    table = tables["transitions"].filter(pl.col("domain").is_in(list(ROWS)))
    if table.is_empty():
        return nothing_to_draw(translate("no per-example results to compare"))
    # Bars have a width: evenly spaced whatever the axis of the other figures.
    table = table.with_columns(x=pl.col("index").cast(pl.Float64))
    apply_style()
    models = table.select("train_task", "method").unique().sort(pl.all()).rows()
    methods = table["method"].unique().to_list()
    figure = Figure(figsize=(PAGE, 3.6), layout="constrained")
    axes = figure.subplots(len(ROWS), len(models), squeeze=False, sharey="row", sharex=True)
    for column, (task, method) in enumerate(models):
        for row, (domain, name) in enumerate(ROWS.items()):
            ax = axes[row][column]
            bars = (
                table.filter(
                    pl.col("train_task") == task,
                    pl.col("method") == method,
                    pl.col("domain") == domain,
                )
                .group_by("index")
                .agg(pl.col("gained", "lost").mean())
                .sort("index")
            )
            ax.bar(
                bars["index"], bars["gained"], WIDTH, color=COLOURS[0], label=translate("learned")
            )
            ax.bar(
                bars["index"], -bars["lost"], WIDTH, color=COLOURS[1], label=translate("forgotten")
            )
            ax.axhline(0, color=GREY, linewidth=0.8)
            if row == 0:
                ax.set_title(f"{task}{method_line(method, methods)}")
            if column == 0:
                ax.set_ylabel(f"{translate(name)}\n{translate('share of examples')}")
            checkpoint_axis(ax, table, translate)
            if row == 0:
                ax.set_xlabel("")
    legend_below(figure, list(axes.flat))
    return figure
