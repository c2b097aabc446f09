"""Change in and out of domain, a panel a task (the paper's cross-domain change)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

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

COLUMNS = 4
NAMES = {"in": "in domain", "out": "out of domain", "cross": "other families"}
LINES = ("-", "--", ":")


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """One line a domain and method: mean change over the domain's datasets."""
    table = tables["domains"]
    if table.is_empty():
        return nothing_to_draw(translate("no tuned model was evaluated"))
    tasks = table["train_task"].unique().sort().to_list()
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(tasks), COLUMNS, height=1.9)
    for ax, task in zip(axes, tasks, strict=True):
        for at, method in enumerate(methods):
            for number, (domain, name) in enumerate(NAMES.items()):
                rows = table.filter(
                    pl.col("train_task") == task,
                    pl.col("domain") == domain,
                    pl.col("method") == method,
                )
                label = translate(name) + method_suffix(method, methods)
                if len(rows):
                    curve(ax, rows, "gain", label, number, linestyle=LINES[at % len(LINES)])
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_title(f"{translate('tuned on')} {task}")
        ax.set_ylabel(translate("tuned minus base"))
        checkpoint_axis(ax, table, translate)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    return figure
