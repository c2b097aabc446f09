"""What all figures share: size, type, colours, the checkpoint axis, and how they are saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from ptft.language.translation import Translate

# Inches. A figure is drawn at the size it is printed in, so its type needs no scaling.
COLUMN, PAGE = 3.3, 6.8
# Okabe and Ito's colours, told apart with any common colour blindness; yellow left out (too faint
# on white), grey kept for base models.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"
# Lines of an overlaid study.
THIN = {"color": GREY, "linestyle": "-.", "marker": "", "linewidth": 0.8}
# The package is only used for the font file in it: importing it would change matplotlib's settings.
JAPANESE_FONT = Path(find_spec("matplotlib_fontja").origin).parent / "fonts/ipaexg.ttf"
RC = {
    # Each character comes from the first font that has it.
    "font.family": ["DejaVu Sans", "IPAexGothic"],
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    # Text as outlines: the same on every reader's machine. The salt makes ids repeat.
    "svg.fonttype": "path",
    "svg.hashsalt": "ptft",
    "figure.dpi": 200,
    "savefig.dpi": 200,
}


def apply_style() -> None:
    """Set matplotlib up for every figure of this package."""
    matplotlib.use("Agg")
    if "IPAexGothic" not in {font.name for font in fontManager.ttflist}:
        fontManager.addfont(JAPANESE_FONT)
    matplotlib.rcParams.update(RC)


def panels(count: int, columns: int, height: float = 1.55, width: float = PAGE) -> tuple:
    """A figure of ``count`` panels in rows of at most ``columns``.

    Returns:
        (figure, list of ``count`` axes); cells of the grid beyond ``count`` are removed.
    """
    apply_style()
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width, height * rows + 0.35), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = list(grid.flat)
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count]


def short_number(value: float) -> str:
    """1000 -> 1k, 342000 -> 342k, 4_000_000_000 -> 4B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:g}"


def with_x(table: pl.DataFrame, axis: str) -> pl.DataFrame:
    """Add ``x``, where a checkpoint is: its position (axis `index`) or its tokens (`tokens`).

    Raises:
        ValueError: a checkpoint has no known token count.
    """
    if "index" not in table.columns:
        return table
    unknown = table.filter(pl.col("tokens").is_null())
    if axis == "tokens" and len(unknown):
        raise ValueError(
            f"checkpoint {unknown['checkpoint'][0]!r} has no token count: give it in the model's "
            "file, or draw with axis 'index'"
        )
    return table.with_columns(pl.col(axis).cast(pl.Float64).alias("x"))


def aligned(other: pl.DataFrame, table: pl.DataFrame, axis: str, study: str) -> pl.DataFrame:
    """Another study's table with its name as column ``study`` and ``x`` on the axis of ``table``.

    By position, checkpoints are matched by their names, and those that ``table`` does not have
    are left out; by tokens, all of them have their place.

    Raises:
        ValueError: by position, no checkpoint is in both studies.
    """
    other = other.with_columns(pl.lit(study).alias("study"))
    if axis == "tokens":
        return with_x(other, axis)
    places = table.select("checkpoint", pl.col("index").cast(pl.Float64).alias("x")).unique()
    found = other.join(places, on="checkpoint")
    if len(other) and len(table) and found.is_empty():
        raise ValueError(
            f"study {study!r} has no checkpoint in common with this one; it has "
            f"{other['checkpoint'].unique().sort().to_list()}. Draw with axis 'tokens'"
        )
    return found


def thin_curve(ax: Axes, rows: pl.DataFrame, value: str, label: str, **overrides: object) -> None:
    """Draw a line of an overlaid study: thin, dashed, without points or band; none for no rows."""
    if len(rows):
        without = rows.with_columns(ci_low=pl.lit(None), ci_high=pl.lit(None))
        curve(ax, without, value, f"{label} ({rows['study'][0]})", **(THIN | overrides))


def checkpoint_axis(ax: Axes, table: pl.DataFrame, translate: Translate) -> None:
    """Label the checkpoints of ``table``: evenly spaced by step, or on a log scale of tokens."""
    checkpoints = table.select("checkpoint", "step", "index", "x").unique().sort("index")
    ax.tick_params(axis="both", pad=1, length=2)
    if checkpoints["x"].equals(checkpoints["index"].cast(pl.Float64), check_names=False):
        labels = [
            short_number(step) if step is not None else name
            for name, step in checkpoints.select("checkpoint", "step").iter_rows()
        ]
        ax.set_xticks(checkpoints["x"].to_list(), labels, rotation=45, ha="right")
        ax.set_xlabel(translate("pre-training step"))
    else:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda tokens, _: short_number(tokens))
        ax.set_xlabel(translate("pre-training tokens"))


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


def from_zero(ax: Axes) -> None:
    """Start the y axis at zero and leave room above the highest point."""
    # dataLim covers lines and bands, but not the vertical marks that span the axes.
    ax.set_ylim(0, max(ax.dataLim.ymax, 0.01) * 1.06)


def panel_legend(ax: Axes) -> None:
    """A legend under its own panel, each label once: never on top of the data."""
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    ax.legend(
        once.values(), once.keys(), loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=2,
        columnspacing=1, handlelength=2.4,
    )  # fmt: skip


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


def nothing_to_draw(reason: str) -> Figure:
    """A figure that says why there is nothing in it."""
    apply_style()
    figure = Figure(figsize=(COLUMN, 1.2))
    figure.text(0.5, 0.5, reason, ha="center", va="center", wrap=True, color=GREY)
    return figure


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both files; the same figure gives the same bytes."""
    for path in (svg, png):
        path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(svg, metadata={"Date": None, "Creator": "matplotlib"})
    figure.savefig(png, metadata={"Software": None})
