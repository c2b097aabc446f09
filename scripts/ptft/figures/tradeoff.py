"""Gain against what is kept: every tuned model, one line per method."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.figures.axis import at_last, checkpoint_labels
from ptft.figures.marks import colour, legend_below, line_style, outer_labels
from ptft.figures.style import GREY, MARKERS, headline, nothing_to_draw, panels
from ptft.language.words import Words

FEW = 5
"""methods that fit in a panel of the usual height"""
MOST = 4
"""checkpoints drawn per task: the first, the last, and evenly between"""
BASE_SHARE = 0.22
"""of a panel's width, for the name of the base model"""


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One row of panels per task, one panel per checkpoint; up: gain, right: what is kept."""
    table = tables["tradeoff"].with_columns(method_name())
    if table.is_empty():
        return nothing_to_draw(words("no tuned model was evaluated on another family"))
    labels = in_order(table["label"].unique().to_list())
    tasks = table["train_task"].unique().sort().to_list()
    shown = _spread(table["index"].unique().sort().to_list())
    figure, axes = panels(
        len(tasks) * len(shown), len(shown), height=1.75 if len(labels) <= FEW else 2.8
    )
    for at, ax in enumerate(axes):
        task, index = tasks[at // len(shown)], shown[at % len(shown)]
        rows = table.filter(pl.col("train_task") == task, pl.col("index") == index)
        _panel(ax, rows, labels, words)
        if len(rows):
            title = words("{task}, {checkpoint}")
            ax.set_title(title.format(task=words.task(task), checkpoint=checkpoint_labels(rows)[0]))
        ax.set_xlabel(words("change elsewhere (0: all kept)"))
        ax.set_ylabel(words("gain on the task"))
    _share_scales(axes, len(shown))
    outer_labels(axes, len(shown))
    legend_below(figure, axes, columns=3)
    below = words(
        "Upwards: tuned minus base on the task's own test sets. To the right: relative change on "
        "other families. Filled: no other model of the checkpoint has more of both. A column is a "
        "checkpoint."
    )
    headline(figure, _found(table, words), below)
    return figure


def _found(table: pl.DataFrame, words: Words) -> str:
    """On how many tasks plain full fine-tuning is on the front at the last checkpoint.

    With one method only: on how many tasks it surely gains, and surely loses elsewhere.
    """
    last = at_last(table)
    if table["label"].n_unique() == 1:
        known = last.drop_nulls(["gain_ci_low", "kept_ci_high"])
        paid = known.filter(pl.col("gain_ci_low") > 0, pl.col("kept_ci_high") < 0)
        said = words("At the last checkpoint {k} of {n} tasks gain at the cost of other families")
        if len(known):
            tasks = known["train_task"].n_unique()
            return said.format(k=paid["train_task"].n_unique(), n=tasks)
    full = last.filter(pl.col("label") == "full")
    if full.is_empty() or table["label"].n_unique() == 1:
        return words("What is gained against what is kept")
    return words(
        "Another model gains as much as full fine-tuning and keeps more: {k} of {n} tasks"
    ).format(k=(~full["front"]).sum(), n=len(full))


def method_name() -> pl.Expr:
    """Column ``label``: the method with its swept setting and derivation."""
    parts = [pl.col("method"), pl.col("swept"), pl.col("derived")]
    return pl.concat_str(parts, separator=", ", ignore_nulls=True).alias("label")


def in_order(labels: list[str]) -> list[str]:
    """Labels with full fine-tuning first, so that it has the first colour, as elsewhere."""
    return sorted(labels, key=lambda label: (label != "full", label))


def _spread(indices: list[int]) -> list[int]:
    """The first, the last, and some evenly between: at most ``MOST``."""
    if len(indices) <= MOST:
        return indices
    return [indices[round(i * (len(indices) - 1) / (MOST - 1))] for i in range(MOST)]


def _panel(ax: Axes, rows: pl.DataFrame, labels: list[str], words: Words) -> None:
    """Every model as a point with both intervals, lines by method; filled: on the front."""
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.plot([0], [0], "o", color=GREY, markerfacecolor="white", markersize=5, zorder=4)
    ax.annotate(
        words("base"), (0, 0), xytext=(5, 4), textcoords="offset points", ha="left",
        color=GREY, fontsize=7,
    )  # fmt: skip
    for number, label in enumerate(labels):
        own = rows.filter(pl.col("label") == label)
        if own.is_empty():
            continue
        line = _line(own, rows) if own["derived"][0] is not None else own
        line = line.sort("strength", "setting", nulls_last=False)
        style = {"color": colour(number), "marker": MARKERS[number % len(MARKERS)]}
        dash = line_style(number)
        ax.plot(
            line["kept"], line["gain"], linewidth=0.9, markersize=0, color=style["color"],
            linestyle=dash,
        )  # fmt: skip
        for row in own.iter_rows(named=True):
            _point(ax, row, style)
        ax.plot([], [], label=label, linestyle=dash, **style)


def _line(own: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Gain and kept of derived models, in order from the base model to the tuned one."""
    along = ["strength", "setting", "gain", "kept"]
    first = own.head(1)
    base = first.with_columns(pl.lit(0.0).alias(name) for name in ("strength", "gain", "kept"))
    tuned = rows.filter(
        pl.col("derived").is_null(),
        *(pl.col(name).eq_missing(first[name][0]) for name in ("method", "setting")),
    ).with_columns(strength=pl.lit(1.0))
    return pl.concat([part.select(along) for part in (base, own, tuned)])


def _point(ax: Axes, row: dict, style: dict) -> None:
    """One model: filled on the front, hollow behind it."""
    face = style["color"] if row["front"] else "white"
    known = row["gain_ci_low"] is not None and row["kept_ci_low"] is not None
    ax.errorbar(
        row["kept"], row["gain"],
        xerr=_arms(row, "kept") if known else None,
        yerr=_arms(row, "gain") if known else None,
        elinewidth=0.5, markerfacecolor=face, markersize=3.2, zorder=3, **style,
    )  # fmt: skip


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
            limits = [getattr(ax, get)() for ax in row]
            low, high = min(one[0] for one in limits), max(one[1] for one in limits)
            if get == "get_xlim":
                high = max(high, -BASE_SHARE * low / (1 - BASE_SHARE))
            for ax in row:
                getattr(ax, put)(low, high)
