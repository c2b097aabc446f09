"""When to stop: tuned scores over pre-training with the stop that the rule finds."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.figures.style import (
    COLOURS,
    GREY,
    checkpoint_axis,
    curve,
    from_zero,
    legend_below,
    method_line,
    nothing_to_draw,
    outer_labels,
    panels,
)
from ptft.language.translation import Translate

COLUMNS = 4


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """A panel a (task, dataset, method): the curve, last score less the margin, and the stops."""
    stops, gains = tables["stopping"], tables["gains"]
    if stops.is_empty():
        return nothing_to_draw(translate("no task has tuned models at two checkpoints"))
    figure, axes = panels(len(stops), COLUMNS)
    methods = stops["method"].unique().to_list()
    for ax, stop in zip(axes, stops.iter_rows(named=True), strict=True):
        rows = gains.filter(
            pl.all_horizontal(pl.col(k) == stop[k] for k in ("method", "train_task", "dataset"))
        ).with_columns(
            ci_low=pl.col("base") + pl.col("ci_low"), ci_high=pl.col("base") + pl.col("ci_high")
        )
        curve(ax, rows, "tuned", translate("tuned"))
        bound = stop["last_score"] - stop["margin"]
        ax.axhline(
            bound,
            color=GREY,
            linestyle="--",
            linewidth=0.8,
            label=translate("last score less margin"),
        )
        marks = (("stop", "by the scores", ":"), ("safe", "with confidence", "-"))
        for number, (which, label, line) in enumerate(marks, start=1):
            at = rows.filter(pl.col("checkpoint") == stop[f"{which}_checkpoint"])
            if len(at):
                ax.axvline(
                    at["x"][0], color=COLOURS[number], linestyle=line, label=translate(label)
                )
        suffix = method_line(stop["method"], methods)
        ax.set_title(f"{stop['train_task']} → {stop['dataset']}{suffix}")
        from_zero(ax)
        checkpoint_axis(ax, rows, translate)
        ax.set_ylabel(stop["metric"])
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    return figure
