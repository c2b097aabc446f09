"""Base and tuned score of every dataset of a task's family (the paper's per-task curves)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.figures.style import (
    GREY,
    checkpoint_axis,
    curve,
    from_zero,
    legend_below,
    method_suffix,
    nothing_to_draw,
    outer_labels,
    panels,
)
from ptft.language import Say

COLUMNS = 4


def draw(tables: Mapping[str, pl.DataFrame], say: Say) -> Figure:
    """A panel a (task, dataset), in-domain and out-of-domain; the base model in grey."""
    table = tables["gains"].filter(pl.col("domain").is_in(["in", "out"]))
    if table.is_empty():
        return nothing_to_draw(say("no tuned model was evaluated on its own family"))
    shown = table.select("train_task", "domain", "dataset").unique().sort(pl.all())
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(shown), COLUMNS)
    for ax, (task, domain, dataset) in zip(axes, shown.iter_rows(), strict=True):
        rows = table.filter(pl.col("train_task") == task, pl.col("dataset") == dataset)
        base = rows.unique("index").with_columns(ci_low=None, ci_high=None)
        curve(ax, base, "base", say("base"), color=GREY, marker="o", linestyle=":")
        for number, method in enumerate(methods):
            line = rows.filter(pl.col("method") == method)
            # The band is the interval of the gain, laid around the tuned score.
            around = line.with_columns(
                ci_low=pl.col("base") + pl.col("ci_low"), ci_high=pl.col("base") + pl.col("ci_high")
            )
            curve(ax, around, "tuned", say("tuned") + method_suffix(method, methods), number)
        chance = rows["chance"][0]
        if chance is not None:
            ax.axhline(chance, color=GREY, linestyle="--", linewidth=0.6, label=say("chance"))
        ax.set_title(f"{task} → {dataset}" + (f"\n({say('out of domain')})" * (domain == "out")))
        ax.set_ylabel(rows["metric"][0])
        from_zero(ax)
        checkpoint_axis(ax, table, say)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    return figure
