"""Figures of gain against what is kept, and of what each method spares at the same gain."""

from __future__ import annotations

import math
from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft import language
from ptft.analysis.scores import at_last
from ptft.analysis.tables.remedies import SNAPSHOT, is_reference
from ptft.figures.axis import checkpoint_axis, checkpoint_labels, claimed
from ptft.figures.marks import (
    colour,
    curve,
    legend_below,
    line_style,
    mark_points,
    outer_labels,
    point_text,
    points,
    tell,
    within_bounds,
)
from ptft.figures.style import GREY, MARKERS, headline, panels

FEW = 5
"""methods that fit in a panel of the usual height"""
MANY = 3
"""methods whose bands hide each other: their intervals are bars, side by side"""
MOST = 4
"""checkpoints drawn per task: the first, the last, and evenly between"""
BASE_SHARE = 0.22
"""of a panel's width, for the name of the base model"""


def draw_tradeoff(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One row of panels per task, one panel per checkpoint; up: gain, right: what is kept."""
    table = tables["tradeoff"].with_columns(method_name())
    labels = in_order(table["label"].unique().to_list())
    figure, axes, parts = task_panels(table, 1.75 if len(labels) <= FEW else 2.8)
    columns = len(axes) // table["train_task"].n_unique()
    for ax, rows in zip(axes, parts, strict=True):
        _panel(ax, rows, labels)
        ax.set_xlabel(language.label("change elsewhere (0: all kept)"))
        ax.set_ylabel(language.label("gain on the task") if len(rows) else "")
    _share_scales(axes, columns)
    outer_labels(axes, columns)
    legend_below(figure, axes, columns=3)
    below = language.label(
        "Upwards: tuned minus base on the task's own test sets. To the right: relative change on "
        "other families. Filled: no other model of the checkpoint has more of both. A column is a "
        "checkpoint."
    )
    headline(figure, _found_front(table), below)
    return figure


def task_panels(
    table: pl.DataFrame, height: float
) -> tuple[Figure, list[Axes], list[pl.DataFrame]]:
    """A row of panels per task, a panel per checkpoint, of at most ``MOST``; and their rows."""
    tasks = table["train_task"].unique().sort().to_list()
    shown = spread_evenly(table["index"].unique().sort().to_list())
    figure, axes = panels(len(tasks) * len(shown), len(shown), height)
    parts = [table.filter(train_task=task, index=index) for task in tasks for index in shown]
    for ax, rows in zip(axes, parts, strict=True):
        ax.set_visible(len(rows) > 0)
        if len(rows):
            where = {"task": language.task(rows["train_task"][0])}
            title = language.label("{task}, {checkpoint}")
            ax.set_title(title.format(**where, checkpoint=checkpoint_labels(rows)[0]))
    return figure, axes, parts


def _found_front(table: pl.DataFrame) -> str:
    """On how many tasks plain full fine-tuning is on the front at the last checkpoint."""
    last = at_last(table)
    full = last.filter(pl.col("label") == "full")
    if full.is_empty() or table["label"].n_unique() == 1:
        return language.label("What is gained against what is kept")
    return language.label(
        "Another model gains as much as full fine-tuning and keeps more: {k} of {n} tasks"
    ).format(k=(~full["front"]).sum(), n=len(full))


def method_name() -> pl.Expr:
    """Column ``label``: the method with its swept setting and derivation."""
    parts = [pl.col("method"), pl.col("swept"), pl.col("derived")]
    return pl.concat_str(parts, separator=", ", ignore_nulls=True).alias("label")


def in_order(labels: list[str]) -> list[str]:
    """Labels with full fine-tuning first, so that it has the first colour, as elsewhere."""
    return sorted(labels, key=lambda label: (label != "full", label))


def spread_evenly(indices: list[int]) -> list[int]:
    """The first, the last, and some evenly between: at most ``MOST``."""
    if len(indices) <= MOST:
        return indices
    return [indices[round(i * (len(indices) - 1) / (MOST - 1))] for i in range(MOST)]


def _panel(ax: Axes, rows: pl.DataFrame, labels: list[str]) -> None:
    """Every model as a point with both intervals, lines by method; filled: on the front."""
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.plot([0], [0], "o", color=GREY, markerfacecolor="white", markersize=5, zorder=4)
    ax.annotate(
        language.label("base"), (0, 0), xytext=(5, 4), textcoords="offset points", ha="left",
        color=GREY, fontsize=7,
    )  # fmt: skip
    for number, label in enumerate(labels):
        own = rows.filter(pl.col("label") == label)
        if own.is_empty():
            continue
        lines = [own]
        if own["derived"][0] is not None:  # each is made of a model of its own
            lines = [_line(part, rows) for part in own.partition_by("setting")]
        style = {"color": colour(number), "marker": MARKERS[number % len(MARKERS)]}
        dash = line_style(number)
        for line in lines:
            line = line.sort("strength", "setting", nulls_last=False)
            ax.plot(
                line["kept"], line["gain"], linewidth=0.9, markersize=0, color=style["color"],
                linestyle=dash,
            )  # fmt: skip
        for row in own.iter_rows(named=True):
            _point(ax, row, style, label)
        ax.plot([], [], label=label, linestyle=dash, **style)


def _line(own: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Gain and kept of derived models, in order from the base model to the tuned one."""
    along = ["strength", "setting", "gain", "kept"]
    first = own.head(1)
    base = first.with_columns(pl.lit(0.0).alias(name) for name in ("strength", "gain", "kept"))
    tuned = rows.filter(
        pl.col("derived").is_null(),
        *(pl.col(name).eq_missing(first[name][0]) for name in ("method", "setting")),
    ).with_columns(strength=pl.lit(math.inf if own["derived"][0] == SNAPSHOT else 1.0))
    return pl.concat([part.select(along) for part in (base, own, tuned)])


def _point(ax: Axes, row: dict, style: dict, label: str) -> None:
    """One model: filled on the front, hollow behind it."""
    face = style["color"] if row["front"] else "white"
    known = row["gain_ci_low"] is not None and row["kept_ci_low"] is not None
    [line, *_] = ax.errorbar(
        row["kept"], row["gain"],
        xerr=_arms(row, "kept") if known else None,
        yerr=_arms(row, "gain") if known else None,
        elinewidth=0.5, markerfacecolor=face, markersize=3.2, zorder=3, **style,
    )  # fmt: skip
    strength = "" if row["strength"] is None else f" {row['strength']:g}"
    parts = [
        point_text({**row, "n_seeds": None}, "gain", "gain_", language.label("gain on the task")),
        point_text(row, "kept", "kept_", language.label("change elsewhere (0: all kept)")),
    ]
    tell(line, label + strength, [", ".join(parts)])
    mark_points(ax, pl.DataFrame([row]), "kept", style["color"], [(row["kept"], row["gain"])])


def _arms(row: dict, name: str) -> list[list[float]]:
    """Lengths of an error bar's arms."""
    value = row[name]
    low, high = row[f"{name}_ci_low"], row[f"{name}_ci_high"]
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _share_scales(axes: list[Axes], columns: int) -> None:
    """One scale per row, to compare a task's checkpoints; leave room for the base's name."""
    for start in range(0, len(axes), columns):
        row = axes[start : start + columns]
        for get, put in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
            if get == "get_ylim":
                for ax in row:
                    within_bounds(ax)
            limits = [getattr(ax, get)() for ax in row]
            low, high = min(one[0] for one in limits), max(one[1] for one in limits)
            if get == "get_xlim":
                high = max(high, -BASE_SHARE * low / (1 - BASE_SHARE))
            for ax in row:
                getattr(ax, put)(low, high)


COLUMNS = 2


def draw_remedies(tables: Mapping[str, pl.DataFrame]) -> Figure | None:
    """One panel per task: forgetting of full fine-tuning (zero) minus each other method's."""
    table = tables["equal_gain"].with_columns(method_name())
    table = table.filter(~is_reference())
    if table.is_empty():
        return None
    tasks = table["train_task"].unique().sort().to_list()
    labels = in_order(table["label"].unique().to_list())
    figure, axes = panels(len(tasks), COLUMNS, height=1.9)
    for ax, task in zip(axes, tasks, strict=True):
        own = table.filter(pl.col("train_task") == task)
        for number, label in enumerate(labels, start=1):  # the first colour is full fine-tuning's
            rows = own.filter(pl.col("label") == label)
            if not len(rows):
                continue
            bars = len(labels) >= MANY
            if bars:
                rows = rows.with_columns(pl.col("x") + 0.3 * (number / (len(labels) + 1) - 0.5))
            curve(ax, rows, "spared", label, number, "spared_", bars, markersize=3)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_title(language.task(task))
        ax.set_ylabel(language.label("forgetting spared"))
        checkpoint_axis(ax, table)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=4)
    below = language.label(
        "Relative change on other families, minus that of full fine-tuning, at the gain that "
        "all methods reach."
    )
    headline(figure, _found_spared(tables), below)
    return figure


def _found_spared(tables: Mapping[str, pl.DataFrame]) -> str:
    """The method that spares most at the last checkpoint, if it is shown to."""
    more = claimed(tables, "spared").filter(pl.col("verdict") == "rises")
    if more.is_empty():
        return language.label("What each method spares at the same gain")
    best = more.with_columns(method_name()).sort("value", descending=True).row(0, named=True)
    return language.label(
        "{method} spares most at the last checkpoint: {points} points on {task}"
    ).format(
        method=best["label"],
        points=points(best["value"]).lstrip("+"),
        task=language.task(best["train_task"]),
    )
