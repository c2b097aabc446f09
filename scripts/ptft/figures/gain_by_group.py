"""Gain of datasets learned and not learned in pre-training (the paper's Table 6 as a figure)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.figures.axis import at_last, checkpoint_axis
from ptft.figures.marks import curve, named, panel_legend, points
from ptft.figures.style import GREY, PAGE, headline, nothing_to_draw, panels
from ptft.language.words import Words

# Group -> number of its line, here and in the other figures that have both groups.
NUMBER = {"learned": 2, "not_learned": 1}


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One panel per method, one line per group; a dataset counts with models tuned for it."""
    table = tables["group_gains"].filter(pl.col("tuned_for") == "own task")
    if table.is_empty():
        return nothing_to_draw(words("no gain to show"))
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(methods), columns=2, height=2.5, width=PAGE * 0.6)
    for ax, method in zip(axes, methods, strict=True):
        draw_groups(ax, table.filter(pl.col("method") == method), words)
        if named(methods):
            ax.set_title(method)
        ax.set_ylabel(words("points"))
        checkpoint_axis(ax, table, words)
        panel_legend(ax, columns=1)
    below = words(
        "Mean gain by fine-tuning (tuned minus base) on the tasks' own test sets, by whether base "
        "models learn them in pre-training."
    )
    headline(figure, found(table, words), below)
    return figure


def draw_groups(ax: Axes, rows: pl.DataFrame, words: Words) -> None:
    """The lines of one method, in points."""
    names = {"learned": words("learned"), "not_learned": words("not learned")}
    in_points = rows.with_columns(pl.col("gain", "ci_low", "ci_high") * 100)
    for group, number in NUMBER.items():
        line = in_points.filter(pl.col("group") == group)
        if len(line):
            n = line["n_cells"].max()
            said = words("{group} (test sets: {n})")
            curve(ax, line, "gain", said.format(group=names[group], n=n), number)
    ax.axhline(0, color=GREY, linewidth=0.8)


def found(table: pl.DataFrame, words: Words) -> str:
    """What the first method adds to both groups at the last checkpoint."""
    last = at_last(table).sort("method").unique("group", keep="first", maintain_order=True)
    gain = dict(last.select("group", "gain").iter_rows())
    if set(gain) != set(NUMBER):
        return words("Gain of learned and not learned datasets")
    return words(
        "Fine-tuning adds {not_learned} points to what pre-training did not teach, {learned} to "
        "what it did"
    ).format(**{key: points(gain[key]).lstrip("+") for key in NUMBER})
