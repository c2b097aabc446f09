"""Marks that figures share: curves with their intervals, heat maps, legends, labels.

seaborn would estimate intervals from rows; ours are paired and come from the tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import seaborn
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ptft import language
from ptft.figures.style import (
    COLOURS,
    FAILED,
    GREY,
    MARKERS,
    MARKS,
    PALE,
    RING,
    WARNED,
)


def colour(number: int) -> str:
    """Colour of a panel's line by its number."""
    return COLOURS[number % len(COLOURS)]


def line_style(number: int) -> str:
    """Style of a panel's line by its number: dashed once the colours repeat."""
    return ("-", "--")[number // len(COLOURS) % 2]


def curve(
    ax: Axes,
    rows: pl.DataFrame,
    value: str,
    label: str,
    number: int = 0,
    prefix: str = "",
    bars: bool = False,
    **overrides: object,
) -> None:
    """Draw one line over checkpoints with its interval as a band.

    A point that averages fewer cells than the others (``complete`` is false) is drawn hollow; one
    of a training that did not learn is crossed out; one with a warning has a ring.

    Args:
        ax: where.
        rows: with columns x, ``value``, and the interval ``{prefix}ci_low`` / ``ci_high``.
        value: column that is drawn.
        label: in the legend.
        number: of the line in its panel; sets colour, marker and, from the eighth on, dashes.
        prefix: of the interval's columns.
        bars: in place of a band, which would hide those of other lines.
        overrides: any property of the line.
    """
    rows = rows.sort("x")
    style = {
        "color": colour(number),
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": line_style(number),
        "label": label,
    } | overrides
    [line] = ax.plot(rows["x"], rows[value], **style)
    known = rows.filter(pl.col(value).is_not_null() & pl.col(value).is_not_nan())
    if style["marker"]:
        told = [point_text(row, value, prefix) for row in known.iter_rows(named=True)]
        tell(line, str(style["label"]), told)
    mark_points(ax, known, value, str(style["color"]))
    known = rows.filter(pl.col(f"{prefix}ci_low").is_not_null())
    if bars or len(known) == 1:  # of which a band has no width
        ends = known[f"{prefix}ci_low"], known[f"{prefix}ci_high"]
        ax.vlines(known["x"], *ends, color=style["color"], linewidth=0.8)
    elif len(known):
        ax.fill_between(
            known["x"], known[f"{prefix}ci_low"], known[f"{prefix}ci_high"],
            color=style["color"], alpha=0.18, linewidth=0,
        )  # fmt: skip
    if "complete" in rows.columns:
        partial = rows.filter(~pl.col("complete"))
        hollow = {"marker": style["marker"], "color": style["color"], "markerfacecolor": "white"}
        ax.plot(partial["x"], partial[value], linestyle="", zorder=3, **hollow)


def mark_points(
    ax: Axes, rows: pl.DataFrame, value: str, color: str, places: Sequence[tuple] | None = None
) -> None:
    """Cross out points of which some seed did not learn; put a ring around those with a warning.

    Args:
        places: of the points; without, at ``x`` and their value.
    """
    places = places or rows.select("x", value).rows()
    for place, row in zip(places, rows.iter_rows(named=True), strict=True):
        for mark, found in ((FAILED, some_failed(row, value)), (WARNED, flags(row, value))):
            if found:
                look = MARKS[mark][1]
                ax.plot(*place, linestyle="", zorder=4, color=color, label=mark, **look)


def some_failed(row: Mapping, value: str) -> bool:
    """Whether some seed of a row's models did not learn; of a base model's score none."""
    learned, seeds = row.get("n_learned"), row.get("n_seeds")
    return value != "base" and learned is not None and seeds is not None and learned < seeds


def flags(row: Mapping, value: str) -> list[str]:
    """Warnings of a score, in words."""
    return [language.if_known(flag) for flag in row.get(f"{value}_flags") or []]


NAMES = "names:"
"""begins the id of a text that names a series"""
TOLD = "ask:"
"""begins the id of what tells its points"""


def tell(artist: Artist, series: str, texts: Sequence[str]) -> None:
    """Put into an artist's id in the SVG what it shows, for pages that answer readers.

    The id is JSON behind ``TOLD``: `series`, and `points`, one text per mark that is drawn.
    """
    name = language.label("base") if series == "_base" else series.lstrip("_")
    told = {"series": name.replace("\n", " "), "points": list(texts)}
    artist.set_gid(TOLD + json.dumps(told, ensure_ascii=False))


def point_text(row: Mapping, value: str, prefix: str = "", where: str | None = None) -> str:
    """`step1000: 0.354 (0.348 to 0.360), n 9815, 3 seeds`, as far as it is known; and warnings.

    Args:
        where: in place of the checkpoint.
    """
    low, high = row.get(f"{prefix}ci_low"), row.get(f"{prefix}ci_high")
    text = f"{where or row.get('checkpoint') or row.get('study')}: {row[value]:.3f}"
    if low is not None and high is not None:
        ends = language.label("{low} to {high}").format(low=f"{low:.3f}", high=f"{high:.3f}")
        text += language.label(" ({text})").format(text=ends)
    seeds = row.get("n_seeds")
    parts = [text, *([f"n {row['n']}"] if row.get("n") is not None else [])]
    if some_failed(row, value):
        told = language.label("{k} of {n} seeds learned")
        parts.append(told.format(k=row["n_learned"], n=seeds))
    elif seeds is not None and value != "base":
        parts.append(language.label("one seed" if seeds == 1 else "{n} seeds").format(n=seeds))
    return ", ".join([*parts, *(f"⚠ {flag}" for flag in flags(row, value))])


@dataclass(frozen=True)
class Bars:
    """Bars of one kind, one per group.

    Attributes:
        rows: of a table, one per group; null where there is no bar.
        value, prefix: as in :func:`curve`.
    """

    label: str
    color: str
    rows: pl.DataFrame
    value: str
    prefix: str = ""


def score_bars(
    ax: Axes, names: Sequence[str], kinds: Sequence[Bars], guesses: pl.DataFrame
) -> None:
    """Horizontal bars with their intervals, a group per name, and what guessing earns.

    Args:
        guesses: of each group, columns chance and majority, null where there is none.
    """
    width = 0.8 / len(kinds)
    for number, kind in enumerate(kinds):
        shift = (number - (len(kinds) - 1) / 2) * width
        places = [at + shift for at in range(len(names))]
        values = kind.rows[kind.value].fill_null(0.0)
        bars = ax.barh(places, values, 0.9 * width, color=kind.color, label=kind.label)
        for place, bar, row in zip(places, bars, kind.rows.iter_rows(named=True), strict=True):
            low, high = row[f"{kind.prefix}ci_low"], row[f"{kind.prefix}ci_high"]
            if low is not None and high is not None:
                ax.plot([low, high], [place, place], color="black", linewidth=0.8, marker="")
            if row[kind.value] is not None:
                tell(bar, kind.label, [point_text(row, kind.value, kind.prefix)])
        ends = list(zip(values, places, strict=True))
        mark_points(ax, kind.rows, kind.value, "black", ends)
    for column, line in (("chance", "--"), ("majority", ":")):
        known = [(at, value) for at, value in enumerate(guesses[column]) if value is not None]
        for number, (at, value) in enumerate(known):
            label = language.label(column) if not number else f"_{column}"
            ax.vlines(value, at - 0.48, at + 0.48, color="black", linestyle=line, label=label)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.grid(visible=False, axis="y")


def guess_lines(ax: Axes, rows: pl.DataFrame, hidden: str = "") -> None:
    """Chance, and what the most frequent label earns where that is clearly more.

    Args:
        hidden: `_` keeps the lines out of the panel's legend.
    """
    more = rows.filter(pl.col("majority") > pl.col("chance") + CLEARLY)
    for name, values, line in (
        ("chance", rows["chance"].drop_nulls(), "--"),
        ("majority", more["majority"].round(3), ":"),
    ):
        for value in values.unique().sort():
            label = hidden + language.label(name)
            ax.axhline(value, color=GREY, linestyle=line, linewidth=0.8, label=label)


CLEARLY = 0.02


def within_bounds(ax: Axes) -> None:
    """Cut the y axis where no change of a score is: few seeds have intervals that end far off."""
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, -1.05), min(high, 1.05))


def from_zero(ax: Axes) -> None:
    """Start the y axis at zero and leave room above the highest point."""
    # dataLim covers lines and bands, but not the vertical marks that span the axes.
    ax.set_ylim(0, max(ax.dataLim.ymax, 0.01) * 1.06)


def panel_legend(ax: Axes, columns: int = 2) -> None:
    """A legend under the panel: never on the data; none where the only line is named as it is."""
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if not once or [*once] == [ax.get_title("left")]:
        return
    # Below the ticks and the label of the axis, which are four lines high in any panel.
    ax.legend(
        once.values(), once.keys(), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=columns,
        columnspacing=1, handlelength=2.4, borderaxespad=4,
    )  # fmt: skip


def name_series(figure: Figure) -> None:
    """Put into the ids of legends' texts which series they name."""
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    for text in (text for legend in legends for text in legend.get_texts()):
        text.set_gid(NAMES + text.get_text().replace("\n", " "))


# A method where several share a figure; dots are for base models.
METHOD_LINES = ("-", "--", "-.")


def points(change: float) -> str:
    """Change of a score in points with its sign: 0.456 -> `+46`, -0.08 -> `−8`."""
    rounded = round(100 * change)
    return f"{rounded:+d}".replace("-", "−") if rounded else "0"


def line_key(figure: Figure, entries: Mapping[str, Mapping[str, object]]) -> None:
    """A legend of kinds of lines under all panels: label -> properties of the line."""
    lines = [Line2D([], [], label=label, **style) for label, style in entries.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(5, len(lines)))


def method_suffix(method: str, methods: Sequence[str]) -> str:
    """` (lora)` if the figure has several methods, or one with a setting; else empty."""
    return f" ({method})" if named(methods) else ""


def method_line(method: str, methods: Sequence[str]) -> str:
    """The same on its own line, for titles of narrow panels."""
    return method_suffix(method, methods).replace(" ", "\n", 1)


def named(methods: Sequence[str]) -> bool:
    """Whether a figure must name its methods: it has several, or one with a setting."""
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
    """Keep x labels only under each column's lowest panel, y labels only where they change."""
    y_labels = [ax.get_ylabel() for ax in axes]
    for i, ax in enumerate(axes):
        if i + columns < len(axes):
            ax.set_xlabel("")
        if i % columns and y_labels[i] == y_labels[i - 1]:
            ax.set_ylabel("")


Told = tuple[str, str, bool]
"""of a cell: its series, its text, whether its score has a warning"""


def heat_map(
    ax: Axes,
    values: Sequence[Sequence[float]],
    labels: Sequence[Sequence[str]],
    told: Sequence[Sequence[Told]],
    **options: object,
) -> None:
    """Draw ``values`` (rows, columns) as colours with their ``labels``.

    A NaN cell has no colour; its label, if any, is pale.

    Args:
        ax: where.
        values: shown as colours.
        labels: written in the cells.
        told: what each cell with a label tells a reader who asks; one with a warning has a ring.
        options: of ``seaborn.heatmap``.
    """
    shown = {"annot": labels, "fmt": "", "annot_kws": {"size": 7}, "cbar": False}
    seaborn.heatmap(values, ax=ax, **shown, **options)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if value != value:
                ax.text(x + 0.5, y + 0.5, labels[y][x], ha="center", va="center", color=PALE)
    for text in ax.texts:
        x, y = (int(place) for place in text.get_position())
        series, words, warned = told[y][x]
        tell(text, series, [words])
        if warned:
            look = RING | {"markersize": 2.8, "markeredgewidth": 0.7, "color": text.get_color()}
            ax.plot(x + 0.88, y + 0.22, **look, label=WARNED)
    ax.set_xticks([x + 0.5 for x in range(len(values[0]))])
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
