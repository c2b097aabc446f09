"""Learned and forgotten examples, one column per task."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.figures.axis import at_last, checkpoint_axis, placed_on
from ptft.figures.marks import legend_below, method_line
from ptft.figures.style import COLOURS, GREY, PAGE, apply_style, headline, nothing_to_draw
from ptft.language.words import Words

ROWS = {"in": "own test sets", "cross": "other families"}
WIDTH = 0.6


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """Bars up: examples with a higher score after fine-tuning; down: with a lower one."""
    table = tables["transitions"].filter(pl.col("domain").is_in(list(ROWS)))
    if table.is_empty():
        return nothing_to_draw(words("no per-example results to compare"))
    # Bars have a width: by position whatever the axis of the other figures.
    table = placed_on("index", {"": table.drop("x")})[""]
    apart = table["x"].unique().sort().diff().min() or 1
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
                .group_by("x")
                .agg(pl.col("gained", "lost").mean())
                .sort("x")
            )
            width = WIDTH * apart
            ax.bar(bars["x"], bars["gained"], width, color=COLOURS[0], label=words("learned"))
            ax.bar(bars["x"], -bars["lost"], width, color=COLOURS[1], label=words("forgotten"))
            ax.axhline(0, color=GREY, linewidth=0.8)
            if row == 0:
                ax.set_title(words.task(task) + method_line(method, methods))
            if column == 0:
                ax.set_ylabel(f"{words(name)}\n{words('share of examples')}")
            checkpoint_axis(ax, table, words)
            if row == 0:
                ax.set_xlabel("")
    legend_below(figure, list(axes.flat))
    below = words(
        "Share of test examples that score higher (above zero) and lower (below zero) after "
        "fine-tuning on the task above each column, guesses included. For ROUGE-L any change of "
        "the score counts."
    )
    headline(figure, _found(table, words), below)
    return figure


def _found(table: pl.DataFrame, words: Words) -> str:
    """Effect of fine-tuning on examples of other families at the last checkpoint."""
    cross = at_last(table).filter(pl.col("domain") == "cross")
    if cross.is_empty():
        return words("Learned and forgotten examples")
    return words(
        "On other families {lost} % of the examples get worse by fine-tuning, {gained} % better"
    ).format(**{which: f"{100 * cross[which].mean():.0f}" for which in ("lost", "gained")})
