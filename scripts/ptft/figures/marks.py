"""Marks that figures share: curves with their intervals, legends, labels.

Drawn by hand where seaborn could: its lines estimate their own intervals from rows, and ours are
paired and come from the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ptft.figures.style import COLOURS, MARKERS, THIN


def colour(number: int) -> str:
    """Colour of a panel's line by its number."""
    return COLOURS[number % len(COLOURS)]


def curve(
    ax: Axes,
    rows: pl.DataFrame,
    value: str,
    label: str,
    number: int = 0,
    prefix: str = "",
    **overrides: object,
) -> None:
    """Draw one line over checkpoints with its interval as a band.

    A point that averages fewer cells than the others (``complete`` is false) is drawn hollow.

    Args:
        ax: where.
        rows: with columns x, ``value``, and the interval ``{prefix}ci_low`` / ``ci_high``.
        value: the column drawn.
        label: of the legend.
        number: of the line in its panel; gives colour, marker and, from the eighth on, dashes.
        prefix: of the interval's columns.
        overrides: any property of the line.
    """
    rows = rows.sort("x")
    style = {
        "color": colour(number),
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": ("-", "--")[number // len(COLOURS) % 2],
        "label": label,
    } | overrides
    ax.plot(rows["x"], rows[value], **style)
    known = rows.filter(pl.col(f"{prefix}ci_low").is_not_null())
    if len(known):
        ax.fill_between(
            known["x"], known[f"{prefix}ci_low"], known[f"{prefix}ci_high"],
            color=style["color"], alpha=0.18, linewidth=0,
        )  # fmt: skip
    if "complete" in rows.columns:
        partial = rows.filter(~pl.col("complete"))
        hollow = {"marker": style["marker"], "color": style["color"], "markerfacecolor": "white"}
        ax.plot(partial["x"], partial[value], linestyle="", zorder=3, **hollow)


def thin_curve(ax: Axes, rows: pl.DataFrame, value: str, label: str, **overrides: object) -> None:
    """Draw a line of an overlaid study: thin, dashed, without points or band; none for no rows."""
    if len(rows):
        without = rows.with_columns(ci_low=pl.lit(None), ci_high=pl.lit(None))
        curve(ax, without, value, f"{label} ({rows['study'][0]})", **(THIN | overrides))


def from_zero(ax: Axes) -> None:
    """Start the y axis at zero and leave room above the highest point."""
    # dataLim covers lines and bands, but not the vertical marks that span the axes.
    ax.set_ylim(0, max(ax.dataLim.ymax, 0.01) * 1.06)


def panel_legend(ax: Axes, columns: int = 2) -> None:
    """A legend under its own panel, each label once: never on top of the data."""
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    # Below the ticks and the label of the axis, which are four lines high in any panel.
    ax.legend(
        once.values(), once.keys(), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=columns,
        columnspacing=1, handlelength=2.4, borderaxespad=4,
    )  # fmt: skip


# A method where several share a figure; dots are for base models.
METHOD_LINES = ("-", "--", "-.")


def points(change: float) -> str:
    """Change of a score in points with its sign: 0.456 -> `+46`, -0.08 -> `−8`."""
    rounded = round(100 * change)
    return f"{rounded:+d}".replace("-", "−") if rounded else "0"


def line_key(figure: Figure, entries: Mapping[str, Mapping[str, object]]) -> None:
    """A legend under all panels that says what a kind of line is: label -> its properties."""
    lines = [Line2D([], [], label=label, **style) for label, style in entries.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(5, len(lines)))


def method_suffix(method: str, methods: Sequence[str]) -> str:
    """` (lora)` where several methods share a figure, or one has a setting, else nothing."""
    return f" ({method})" if named(methods) else ""


def method_line(method: str, methods: Sequence[str]) -> str:
    """The same as a line of its own, for titles of narrow panels."""
    return method_suffix(method, methods).replace(" ", "\n", 1)


def named(methods: Sequence[str]) -> bool:
    """Whether a figure has to name its methods: there are several, or one in a certain setting."""
    return len(methods) > 1 or any("," in method for method in methods)


def legend_below(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend under all panels, each label once."""
    seen = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            seen.setdefault(label, handle)
    if seen:
        figure.legend(
            seen.values(), seen.keys(), loc="outside lower center", ncols=min(columns, len(seen))
        )


def outer_labels(axes: Sequence[Axes], columns: int) -> None:
    """Keep the x label under the lowest panel of each column, the y label where it changes."""
    y_labels = [ax.get_ylabel() for ax in axes]
    for i, ax in enumerate(axes):
        if i + columns < len(axes):
            ax.set_xlabel("")
        if i % columns and y_labels[i] == y_labels[i - 1]:
            ax.set_ylabel("")


def pretty(name: str) -> str:
    """`question_generation` -> `question generation`."""
    return name.replace("_", " ")
