"""Gain of datasets learned and not learned in pre-training (the paper's Table 6 as a figure)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.figures.style import (
    COLUMN,
    GREY,
    checkpoint_axis,
    curve,
    legend_below,
    named,
    nothing_to_draw,
    panels,
    pretty,
)
from ptft.language.translation import Translate

NUMBER = {"not_learned": 0, "learned": 1}
LINE = {"own task": "-", "other tasks": "--"}


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """One panel a method; solid lines where models were tuned for the datasets."""
    table = tables["group_gains"]
    if table.is_empty():
        return nothing_to_draw(translate("no gain to show"))
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(methods), columns=2, height=2.1, width=COLUMN * min(2, len(methods)))
    for ax, method in zip(axes, methods, strict=True):
        rows = table.filter(pl.col("method") == method)
        for (group, tuned_for), line in rows.group_by("group", "tuned_for", maintain_order=True):
            label = f"{translate(pretty(group))}, {translate('tuned for ' + tuned_for)}"
            curve(ax, line, "gain", label, NUMBER[group], linestyle=LINE[tuned_for])
        ax.axhline(0, color=GREY, linewidth=0.8)
        if named(methods):
            ax.set_title(method)
        ax.set_ylabel(translate("tuned minus base"))
        checkpoint_axis(ax, table, translate)
    legend_below(figure, axes, columns=1 if len(methods) == 1 else 2)
    return figure
