"""Forgetting that each method spares at equal gain, along pre-training."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.analysis.tables.equal_gain import TARGETS, is_reference
from ptft.figures.axis import at_last, checkpoint_axis
from ptft.figures.marks import curve, legend_below, outer_labels, points, whiskers
from ptft.figures.style import GREY, headline, nothing_to_draw, panels
from ptft.figures.tradeoff import FEW, in_order, method_name
from ptft.language.words import Words

COLUMNS = 2


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One panel per task: forgetting of full fine-tuning (zero) minus each other method's."""
    table = tables["equal_gain"].with_columns(method_name())
    table = table.filter(pl.col("target") == TARGETS[0], ~is_reference())
    if table.is_empty():
        return nothing_to_draw(words("no method to compare with full fine-tuning"))
    tasks = table["train_task"].unique().sort().to_list()
    labels = in_order(table["label"].unique().to_list())
    figure, axes = panels(len(tasks), COLUMNS, height=1.9)
    for ax, task in zip(axes, tasks, strict=True):
        own = table.filter(pl.col("train_task") == task)
        for number, label in enumerate(labels, start=1):  # the first colour is full fine-tuning's
            rows = own.filter(pl.col("label") == label)
            if not len(rows):
                continue
            if len(labels) < FEW:
                curve(ax, rows, "spared", label, number, "spared_")
            else:
                bare = rows.with_columns(spared_ci_low=None, spared_ci_high=None)
                curve(ax, bare, "spared", label, number, "spared_", marker="", linewidth=0.8)
                whiskers(ax, rows, "spared", number, len(labels) + 1, "spared_")
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_title(words.task(task))
        ax.set_ylabel(words("forgetting spared"))
        checkpoint_axis(ax, table, words)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=4)
    below = words(
        "Relative change on other families, minus that of full fine-tuning, at the gain that "
        "all methods reach."
    )
    headline(figure, _found(table, words), below)
    return figure


def _found(table: pl.DataFrame, words: Words) -> str:
    """The method that surely spares most at the last checkpoint, if any."""
    last = at_last(table).filter(pl.col("spared_ci_low") > 0)
    if last.is_empty():
        return words("What each method spares at the same gain")
    best = last.sort("spared", descending=True).row(0, named=True)
    return words("{method} spares most at the last checkpoint: {points} points on {task}").format(
        method=best["label"],
        points=points(best["spared"]).lstrip("+"),
        task=words.task(best["train_task"]),
    )
