"""Change on other families by direction of transfer (the paper's task transfer)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.figures.axis import at_last, checkpoint_axis
from ptft.figures.marks import METHOD_LINES, curve, legend_below, method_suffix, outer_labels
from ptft.figures.style import GREY, headline, nothing_to_draw, panels
from ptft.language.words import Words

COLUMNS = 2


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One panel per direction: relative change of each task's models; black: their mean."""
    table = tables["forgetting"]
    if table.is_empty():
        return nothing_to_draw(words("no model was evaluated on another family"))
    directions = table["direction"].unique().sort().to_list()
    drawn = table.select("bounded", "bounded_ci_low", "bounded_ci_high")
    limits = (
        min(-0.5, drawn.min_horizontal().min() - 0.03),
        max(0.25, drawn.max_horizontal().max() + 0.03),
    )
    figure, axes = panels(len(directions), COLUMNS, height=2.1)
    for ax, direction in zip(axes, directions, strict=True):
        rows = table.filter(pl.col("direction") == direction)
        _panel(ax, rows, table, words)
        # One scale for all panels: a loss of 3 % must not look like one of 80 %.
        ax.set_ylim(*limits)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}".replace("-", "−"))
        start, end = direction.split(">")
        about = worth(rows, tables["base_scores"], words)
        title = f"{words('tuned on ' + start)} → {words('tested on ' + end)}"
        ax.set_title("\n".join([title, *([about] if about else [])]))
        ax.set_ylabel(words("relative change, %"))
        checkpoint_axis(ax, table, words)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=5)
    below = words(
        "Change of the score on families that a model was not tuned for, in % of the larger of "
        "both scores. Where the base model is at chance there is nothing to forget."
    )
    headline(figure, found(table, words), below)
    return figure


def _panel(ax: Axes, rows: pl.DataFrame, table: pl.DataFrame, words: Words) -> None:
    """The curves of one direction; a task keeps its colour in every panel."""
    tasks = table.filter(pl.col("train_task") != ALL_TASKS)["train_task"].unique().sort().to_list()
    methods = table["method"].unique().sort().to_list()
    for line, method in zip(METHOD_LINES, methods, strict=False):
        suffix = method_suffix(method, methods)
        of_method = rows.filter(pl.col("method") == method)
        for number, task in enumerate(tasks):
            one = of_method.filter(pl.col("train_task") == task)
            if len(one):
                label = words.task(task) + suffix
                curve(ax, one, "bounded", label, number, "bounded_", linestyle=line)
        mean = of_method.filter(pl.col("train_task") == ALL_TASKS)
        look = {"color": "black", "marker": "", "linewidth": 1.8, "linestyle": line}
        bare = mean.with_columns(ci_low=None, ci_high=None)
        curve(ax, bare, "bounded", words("mean") + suffix, **look)


def worth(rows: pl.DataFrame, base_scores: pl.DataFrame, words: Words) -> str:
    """On how many of a direction's datasets the last base model is above chance; empty if no
    chance level is known."""
    names = {name for datasets in rows["datasets"] for name in datasets.split()}
    base = at_last(base_scores).filter(
        pl.col("dataset").is_in(sorted(names)), pl.col("chance").is_not_null()
    )
    if base.is_empty():
        return ""
    above = (base["ci_low"].fill_null(0) > base["chance"]).sum()
    return words("last base model above chance on {k} of {n}").format(k=above, n=len(base))


def found(table: pl.DataFrame, words: Words) -> str:
    """The direction with the largest mean loss at the last checkpoint, if it is sure."""
    mean = at_last(table).filter(pl.col("train_task") == ALL_TASKS, pl.col("bounded_ci_high") < 0)
    if mean.is_empty():
        return words("Change on other families")
    most = mean.sort("bounded", "direction").row(0, named=True)
    start, end = most["direction"].split(">")
    return words("{start}, the last models lose {share} % of their score {end}").format(
        start=words("tuned on " + start).capitalize(),
        end=words("on " + end),
        share=f"{-100 * most['bounded']:.0f}",
    )
