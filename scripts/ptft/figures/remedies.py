"""What each method spares at the gain that all of them reach, along pre-training."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.analysis.tables.equal_gain import REFERENCE, TARGETS
from ptft.figures.style import (
    GREY,
    checkpoint_axis,
    curve,
    legend_below,
    nothing_to_draw,
    outer_labels,
    panels,
    pretty,
)
from ptft.figures.tradeoff import method_name
from ptft.language.translation import Translate

COLUMNS = 2


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """A panel a task: forgetting of full fine-tuning (zero) less that of each other method."""
    table = tables["equal_gain"].with_columns(method_name())
    full = ", ".join(filter(None, REFERENCE))
    table = table.filter(pl.col("target") == TARGETS[0], pl.col("label") != full)
    if table.is_empty():
        return nothing_to_draw(translate("no method to compare with full fine-tuning"))
    tasks = table["train_task"].unique().sort().to_list()
    labels = table["label"].unique().sort().to_list()
    figure, axes = panels(len(tasks), COLUMNS, height=1.9)
    for ax, task in zip(axes, tasks, strict=True):
        own = table.filter(pl.col("train_task") == task)
        for number, label in enumerate(labels, start=1):  # the first colour is full fine-tuning's
            rows = own.filter(pl.col("label") == label)
            if len(rows):
                curve(ax, rows, "spared", label, number, "spared_")
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_title(pretty(task))
        ax.set_ylabel(translate("forgetting spared"))
        checkpoint_axis(ax, table, translate)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=4)
    return figure
