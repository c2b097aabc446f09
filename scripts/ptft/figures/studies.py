"""Curves of several studies over the tokens of pre-training, one line per study."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft import language
from ptft.analysis.studies import CURVE, QUANTITIES, differing
from ptft.figures.axis import checkpoint_axis, positions
from ptft.figures.marks import METHOD_LINES, curve, legend_below, method_suffix, outer_labels
from ptft.figures.style import GREY, headline, nothing_to_draw, panels

# Titles of transfer between kinds are long.
COLUMNS = {"base": 3, "gain": 3, "kept": 2}
MEASURED = {
    "base": "Score of the base models; dashed: chance.",
    "gain": "Tuned minus base on the tasks' own test sets.",
    "kept": "Relative change of the score on other families, mean over tasks; 0: all is kept.",
}


def draw_studies(table: pl.DataFrame, differences: pl.DataFrame, quantity: str) -> Figure:
    """One panel per curve of a quantity; a study keeps its colour in all panels.

    Args:
        table: `compared`.
        differences: `differences`, for the title.
        quantity: of ``QUANTITIES``.
    """
    studies = table["study"].unique(maintain_order=True).to_list()
    rows = _placed(table).filter(pl.col("quantity") == quantity)
    if rows.is_empty():
        return nothing_to_draw()
    of_curve = rows.group_by("train_task", "dataset").agg(pl.col("family").first())
    shown = of_curve.select("family", "train_task", "dataset").sort(pl.all())
    columns = COLUMNS[quantity]
    figure, axes = panels(len(shown), columns, height=1.9)
    for ax, (_, task, dataset) in zip(axes, shown.iter_rows(), strict=True):
        same = pl.col("train_task").eq_missing(task) & (pl.col("dataset") == dataset)
        panel = rows.filter(same)
        _lines(ax, panel, studies, rows["method"].unique().drop_nulls().sort().to_list())
        ax.set_title(_title(quantity, task, dataset))
        metric = panel["metric"][0]
        ax.set_ylabel(
            language.label("relative change") if metric is None else language.metric(metric)
        )
        checkpoint_axis(ax, rows)
    outer_labels(axes, columns)
    legend_below(figure, axes)
    headline(figure, found(differences, quantity), language.label(MEASURED[quantity]))
    return figure


def _placed(table: pl.DataFrame) -> pl.DataFrame:
    """Each study's last checkpoint at each point of comparison, with its place."""
    points = table.select(pl.col("aligned").unique().sort()).with_columns(
        tokens="aligned", step="aligned", checkpoint=pl.col("aligned").cast(pl.String)
    )
    points = points.with_row_index("index").with_columns(
        x=pl.Series(positions(points), dtype=float)
    )
    last = table.sort("tokens").unique(
        ["study", *CURVE, "aligned"], keep="last", maintain_order=True
    )
    return last.drop("tokens", "step", "checkpoint").join(points, on="aligned")


def found(differences: pl.DataFrame, quantity: str) -> str:
    """At how many points models differ by more than the examples explain."""
    differ, tested = differing(differences, quantity)
    if not tested:
        return language.label(QUANTITIES[quantity])
    said = language.label("The models differ at {k} of {n} points they can be compared at")
    return said.format(k=differ, n=tested)


def _lines(ax: Axes, panel: pl.DataFrame, studies: list[str], methods: list[str]) -> None:
    for number, study in enumerate(studies):
        of_study = panel.filter(pl.col("study") == study)
        for one in of_study.partition_by(CURVE, maintain_order=True):
            method = one["method"][0]
            line = METHOD_LINES[methods.index(method) % len(METHOD_LINES)] if method else "-"
            label = study + (method_suffix(method, methods) if method else "")
            curve(ax, one, "value", label, number, linestyle=line)
    for chance in panel["chance"].drop_nulls().unique().sort():
        if panel["quantity"][0] == "base":
            ax.axhline(chance, color=GREY, linestyle="--", linewidth=0.8)
    if panel["quantity"][0] != "base":
        ax.axhline(0, color=GREY, linewidth=0.8)


def _title(quantity: str, task: str | None, dataset: str) -> str:
    if quantity == "kept":
        start, end = dataset.split(">")
        return f"{language.label('tuned on ' + start)} → {language.label('tested on ' + end)}"
    if task is None or language.task(task) == language.dataset(dataset):
        return language.dataset(dataset)
    return f"{language.task(task)} → {language.dataset(dataset)}"
