"""Scores by prompt format (the paper's task-format curves)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft import language
from ptft.figures.axis import checkpoint_axis, claimed
from ptft.figures.marks import curve, from_zero, legend_below, method_line, outer_labels, points
from ptft.figures.style import GREY, headline, panels

COLUMNS = 4


def draw_formats(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One panel per model and dataset: one line per format; grey band: formats of the base model.

    Panels of a family share a scale. Without tuned models, base models have the lines.
    """
    table = tables["formats"]
    table = table.with_columns(ci_low=None, ci_high=None)
    tuned = table.filter(pl.col("method").is_not_null())
    shown = tuned if len(tuned) else table
    keys = shown.select("family", "dataset", "method", "train_task").unique().sort(pl.all())
    formats = shown["format"].unique().sort().to_list()
    methods = tuned["method"].unique().to_list()
    figure, axes = panels(len(keys), COLUMNS, height=1.8)
    for ax, (_, dataset, method, task) in zip(axes, keys.iter_rows(), strict=True):
        rows = shown.filter(
            pl.col("dataset") == dataset,
            pl.col("method").eq_missing(method),
            pl.col("train_task").eq_missing(task),
        )
        for number, format_name in enumerate(formats):
            curve(ax, rows.filter(pl.col("format") == format_name), "value", format_name, number)
        if method:
            base = table.filter(pl.col("dataset") == dataset, pl.col("method").is_null())
            _band(ax, base)
        suffix = method_line(method, methods) if method else ""
        ax.set_title(language.dataset(dataset) + suffix)
        ax.set_ylabel(language.metric(rows["metric"][0]))
        from_zero(ax)
        checkpoint_axis(ax, table)
    for family in keys["family"].unique():
        own = [ax for ax, at in zip(axes, keys["family"], strict=True) if at == family]
        top = max(ax.get_ylim()[1] for ax in own)
        for ax in own:
            ax.set_ylim(0, top)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    below = language.label(
        "Score in each prompt format, over pre-training; grey: the base model in all formats. "
        "Panels of a family have one scale."
    )
    headline(figure, _found(tables), below)
    return figure


def _band(ax: Axes, base: pl.DataFrame) -> None:
    """The band from the base model's worst to its best format."""
    ends = base.group_by("x").agg(low=pl.col("value").min(), high=pl.col("value").max()).sort("x")
    look = {"color": GREY, "alpha": 0.3, "linewidth": 0}
    ax.fill_between(
        ends["x"],
        ends["low"],
        ends["high"],
        label=language.label("base, all formats"),
        zorder=0,
        **look,
    )


def _found(tables: Mapping[str, pl.DataFrame]) -> str:
    """The largest loss by another wording at the last checkpoint, if one is shown."""
    lost = claimed(tables, "gap").filter(pl.col("verdict") == "falls")
    if lost.is_empty():
        return language.label("Scores by prompt format")
    most = lost.sort("value", "dataset", "format").row(0, named=True)
    return language.label(
        "Another prompt format costs tuned models up to {points} points: {dataset} in format "
        "{format}"
    ).format(
        points=points(most["value"]).lstrip("−"),
        dataset=language.dataset(most["dataset"]),
        format=most["format"],
    )
