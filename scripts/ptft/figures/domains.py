"""Change in and out of domain, one panel per task (the paper's cross-domain change)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.figure import Figure

from ptft.analysis.tables.suspicious import hidden_labels
from ptft.figures.axis import at_last, checkpoint_axis
from ptft.figures.marks import METHOD_LINES, curve, legend_below, method_suffix, outer_labels
from ptft.figures.style import GREY, PALE, headline, nothing_to_draw, panels
from ptft.language.words import Words

COLUMNS = 5


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One line per domain and method: mean change over the domain's datasets."""
    table = tables["domains"]
    if table.is_empty():
        return nothing_to_draw(words("no tuned model was evaluated"))
    hidden = hidden_labels(tables["suspicious"])
    names = {
        "in": words("own test sets"),
        "out": words("others of its family"),
        "cross": words("other families"),
    }
    tasks = table["train_task"].unique().sort().to_list()
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(tasks), COLUMNS, height=2.0)
    for ax, task in zip(axes, tasks, strict=True):
        for line, method in zip(METHOD_LINES, methods, strict=False):
            for number, (domain, name) in enumerate(names.items()):
                rows = table.filter(
                    pl.col("train_task") == task,
                    pl.col("domain") == domain,
                    pl.col("method") == method,
                )
                look = {"color": PALE} if _hides(rows, hidden) else {}
                label = name + method_suffix(method, methods)
                if look:
                    label += words(" (no score)")
                if len(rows):
                    curve(ax, rows, "gain", label, number, linestyle=line, **look)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_title(words.task(task))
        ax.set_ylabel(words("tuned minus base"))
        checkpoint_axis(ax, table, words)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    below = words("Mean change of the score by fine-tuning on the task above each panel.")
    if _hides(table, hidden):
        below += " " + words("Grey: means over datasets whose labels seem to be hidden.")
    headline(figure, _found(table, words), below)
    return figure


def _hides(rows: pl.DataFrame, hidden: Sequence[str]) -> bool:
    """Whether a mean includes a dataset whose labels seem to be hidden."""
    return any(set(names.split()) & set(hidden) for names in rows["datasets"])


def _found(table: pl.DataFrame, words: Words) -> str:
    """How many tasks cost other families at the last checkpoint, by the first method."""
    cross = at_last(table).filter(pl.col("domain") == "cross", pl.col("ci_high").is_not_null())
    cross = cross.filter(pl.col("method") == pl.col("method").min())
    if cross.is_empty():
        return words("Change in and out of domain")
    return words("At the last checkpoint {k} of {n} tasks cost other families some score").format(
        k=(cross["ci_high"] < 0).sum(), n=len(cross)
    )
