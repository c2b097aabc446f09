"""Gain and forgetting along fine-tuning, from one snapshot to the next."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft import language
from ptft.figures.marks import curve, legend_below, outer_labels, within_bounds
from ptft.figures.remedies import task_panels
from ptft.figures.style import GREY, headline

NAME = ["method", "setting"]


def draw_along_finetuning(tables: Mapping[str, pl.DataFrame]) -> Figure | None:
    """One row of panels per task, one panel per checkpoint; up: gained, down: forgotten."""
    table = tables["along_finetuning"].filter(pl.col("share").is_not_null())
    if table.is_empty():
        return None
    trainings = table.select(NAME).unique(maintain_order=True).rows()
    figure, axes, parts = task_panels(table, 1.75)
    for ax, rows in zip(axes, parts, strict=True):
        for number, training in enumerate(trainings):
            same = (pl.col(k).eq_missing(pl.lit(v)) for k, v in zip(NAME, training, strict=True))
            _lines(ax, rows.filter(*same), ", ".join(filter(None, training)), number)
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.set_xlim(0, 1.03)
        within_bounds(ax)
        ax.set_xlabel(language.label("share of the fine-tuning"))
        ax.set_ylabel(language.label("change"))
    outer_labels(axes, len(axes) // table["train_task"].n_unique())
    legend_below(figure, axes, columns=4)
    below = language.label(
        "Solid: tuned minus base on the task's own test sets. Dashed: relative change on other "
        "families."
    )
    headline(figure, language.label("Gain and forgetting along fine-tuning"), below)
    return figure


def _lines(ax: Axes, rows: pl.DataFrame, label: str, number: int) -> None:
    """Both changes of one training from the checkpoint on."""
    if rows.is_empty():
        return
    for value, said, dash in (
        ("gain", language.label("{method}: gained"), "-"),
        ("kept", language.label("{method}: kept elsewhere"), "--"),
    ):
        start = {value: 0.0, f"{value}_ci_low": 0.0, f"{value}_ci_high": 0.0, "share": 0.0}
        first = rows.head(1).with_columns(pl.lit(v).alias(k) for k, v in start.items())
        line = pl.concat([first, rows]).with_columns(x=pl.col("share"))
        name = said.format(method=label)
        curve(ax, line, value, name, number, f"{value}_", linestyle=dash, markersize=2.5)
