"""Change on other families by direction of transfer (the paper's task transfer)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.figures.style import (
    GREY,
    checkpoint_axis,
    curve,
    legend_below,
    method_suffix,
    nothing_to_draw,
    outer_labels,
    panels,
)
from ptft.language.translation import Translate

COLUMNS = 2


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """A panel a direction; the relative change of each task's models and, in black, the mean."""
    table = tables["forgetting"]
    if table.is_empty():
        return nothing_to_draw(translate("no model was evaluated on another family"))
    directions = table["direction"].unique().sort().to_list()
    tasks = table.filter(pl.col("train_task") != ALL_TASKS)["train_task"].unique().sort().to_list()
    methods = table["method"].unique().sort().to_list()
    drawn = table.select("bounded", "bounded_ci_low", "bounded_ci_high")
    limits = (
        min(-0.5, drawn.min_horizontal().min() - 0.03),
        max(0.25, drawn.max_horizontal().max() + 0.03),
    )
    figure, axes = panels(len(directions), COLUMNS, height=1.9)
    for ax, direction in zip(axes, directions, strict=True):
        rows = table.filter(pl.col("direction") == direction)
        for at, method in enumerate(methods):
            suffix = method_suffix(method, methods)
            line = ("-", "--", ":")[at % 3]
            for number, task in enumerate(tasks):
                one = rows.filter(pl.col("train_task") == task, pl.col("method") == method)
                if len(one):
                    curve(ax, one, "bounded", task + suffix, number, "bounded_", linestyle=line)
            mean = rows.filter(pl.col("train_task") == ALL_TASKS, pl.col("method") == method)
            curve(
                ax,
                mean.with_columns(ci_low=None, ci_high=None),
                "bounded",
                translate("mean") + suffix,
                color="black",
                marker="",
                linewidth=1.8,
                linestyle=line,
            )
        # One scale for all panels: a loss of 3 % must not look like one of 80 %.
        ax.set_ylim(*limits)
        ax.axhline(0, color=GREY, linewidth=0.8)
        start, end = direction.split(">")
        ax.set_title(f"{translate('tuned on ' + start)} → {translate('tested on ' + end)}")
        ax.set_ylabel(translate("relative change"))
        checkpoint_axis(ax, table, translate)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=5)
    return figure
