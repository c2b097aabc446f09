"""Base and tuned score of every dataset of a task's family (the paper's per-task curves)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.figures.style import (
    GREY,
    checkpoint_axis,
    colour,
    curve,
    from_zero,
    legend_below,
    method_suffix,
    nothing_to_draw,
    outer_labels,
    panels,
    thin_curve,
)
from ptft.language.translation import Translate

COLUMNS = 4


def draw(
    tables: Mapping[str, pl.DataFrame],
    translate: Translate,
    overlay: Mapping[str, pl.DataFrame] | None = None,
) -> Figure:
    """A panel a (task, dataset), in-domain and out-of-domain; the base model in grey.

    Thin lines: another study's models, where it has the same task and dataset.
    """
    table = tables["gains"].filter(pl.col("domain").is_in(["in", "out"]))
    if table.is_empty():
        return nothing_to_draw(translate("no tuned model was evaluated on its own family"))
    other = overlay["gains"] if overlay else table.clear()
    shown = table.select("train_task", "domain", "dataset").unique().sort(pl.all())
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(shown), COLUMNS)
    for ax, (task, domain, dataset) in zip(axes, shown.iter_rows(), strict=True):
        rows = table.filter(pl.col("train_task") == task, pl.col("dataset") == dataset)
        base = rows.unique("index").with_columns(ci_low=None, ci_high=None)
        curve(ax, base, "base", translate("base"), color=GREY, marker="o", linestyle=":")
        for number, method in enumerate(methods):
            line = rows.filter(pl.col("method") == method)
            # The band is the interval of the gain, laid around the tuned score.
            around = line.with_columns(
                ci_low=pl.col("base") + pl.col("ci_low"), ci_high=pl.col("base") + pl.col("ci_high")
            )
            curve(ax, around, "tuned", translate("tuned") + method_suffix(method, methods), number)
        _lay_over(ax, other, rows, methods, translate)
        chance = rows["chance"][0]
        if chance is not None:
            ax.axhline(chance, color=GREY, linestyle="--", linewidth=0.6, label=translate("chance"))
        # One line each: long names of neighbours would run into one another.
        lines = [task, f"→ {dataset}", *([f"({translate('out of domain')})"] * (domain == "out"))]
        ax.set_title("\n".join(lines))
        ax.set_ylabel(rows["metric"][0])
        from_zero(ax)
        checkpoint_axis(ax, table, translate)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    return figure


def _lay_over(
    ax: Axes, other: pl.DataFrame, rows: pl.DataFrame, methods: Sequence[str], translate: Translate
) -> None:
    """Another study's base and tuned scores of the panel's task and dataset, by the same methods.

    Scores of another metric are not comparable, and left out.
    """
    keys = ["train_task", "dataset", "metric"]
    same = other.join(rows.select(keys).unique(), on=keys, how="semi")
    thin_curve(ax, same.unique("index"), "base", translate("base"), linestyle=":")
    for number, method in enumerate(methods):
        line = same.filter(pl.col("method") == method)
        label = translate("tuned") + method_suffix(method, methods)
        thin_curve(ax, line, "tuned", label, color=colour(number))
