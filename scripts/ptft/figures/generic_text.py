"""Loss on generic text along pre-training, a panel a dataset: base and tuned models."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from ptft.figures.style import (
    GREY,
    checkpoint_axis,
    curve,
    legend_below,
    method_suffix,
    nothing_to_draw,
    outer_labels,
    panels,
    pretty,
)
from ptft.language.translation import Translate

COLUMNS = 3


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """Grey: base models; a line a task and method that something was tuned on, with its interval.

    Settings of a sweep and derived arms have a row in the table each, and no line.
    """
    table = tables["generic_text"]
    if table.is_empty():
        return nothing_to_draw(translate("no generic text was scored"))
    trained = pl.all_horizontal(pl.col("setting", "derived").is_null())
    tuned = table.filter(trained, pl.col("method").is_not_null())
    base = table.filter(trained, pl.col("method").is_null())
    arms = tuned.select("train_task", "method").unique().sort(pl.all())
    methods = arms["method"].unique().sort().to_list()
    datasets = table["dataset"].unique().sort().to_list()
    figure, axes = panels(len(datasets), COLUMNS, height=2.2)
    for ax, dataset in zip(axes, datasets, strict=True):
        here = pl.col("dataset") == dataset
        curve(
            ax, base.filter(here), "bits_per_byte", translate("base"),
            color=GREY, linestyle="--", marker="s",
        )  # fmt: skip
        for number, (task, method) in enumerate(arms.iter_rows()):
            rows = tuned.filter(here, pl.col("train_task") == task, pl.col("method") == method)
            label = translate("tuned on {task}").format(task=pretty(task))
            curve(ax, rows, "bits_per_byte", label + method_suffix(method, methods), number)
        ax.set_title(pretty(dataset))
        ax.set_ylabel(translate("bits per byte (lower is better)"))
        # The first checkpoints would press all that comes after them flat.
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(MaxNLocator(7))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        checkpoint_axis(ax, table, translate)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=3)
    return figure
