"""Base scores over pre-training, one panel per family (the paper's Figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.analysis.tables.suspicious import hidden_labels
from ptft.figures.axis import checkpoint_axis
from ptft.figures.marks import colour, curve, from_zero, panel_legend, thin_curve
from ptft.figures.style import GREY, PALE, THIN, headline, nothing_to_draw, panels
from ptft.language.words import Words


def draw(
    tables: Mapping[str, pl.DataFrame], words: Words, overlay: pl.DataFrame | None = None
) -> Figure:
    """One line per dataset with its interval; dashed: chance; thin: another study."""
    table = tables["base_scores"]
    other = table.clear() if overlay is None else overlay
    if table.is_empty():
        return nothing_to_draw(words("no base model was evaluated"))
    hidden = hidden_labels(tables["suspicious"])
    shown = table.select("kind", "family").unique().sort(pl.all())
    figure, axes = panels(len(shown), columns=3, height=2.5)
    for ax, (kind, family) in zip(axes, shown.iter_rows(), strict=True):
        rows = table.filter(pl.col("family") == family, pl.col("kind") == kind)
        _panel(ax, rows, other, hidden, words)
        ax.set_title(words.family(family))
        ax.set_ylabel(words.metric(rows["metric"][0]))
        from_zero(ax)
        checkpoint_axis(ax, table, words)
        panel_legend(ax)
    headline(figure, _found(tables["groups"], hidden, words), _measured(table, hidden, words))
    return figure


def _panel(
    ax: Axes, rows: pl.DataFrame, other: pl.DataFrame, hidden: Sequence[str], words: Words
) -> None:
    """The datasets of one family."""
    for number, dataset in enumerate(rows["dataset"].unique().sort()):
        line = rows.filter(pl.col("dataset") == dataset)
        look = {"color": PALE} if dataset in hidden else {}
        label = words.dataset(dataset) + (words(" (no score)") if dataset in hidden else "")
        curve(ax, line, "value", label, number, **look)
        same = other.filter(pl.col("dataset") == dataset, pl.col("metric") == line["metric"][0])
        # In the colour of the dataset, whose own label is enough: the legend says whose it is.
        thin_curve(ax, same, "value", f"_{dataset}", color=colour(number))
    shared = other.filter(pl.col("dataset").is_in(rows["dataset"].unique().to_list()))
    if len(shared):
        ax.plot([], [], label=shared["study"][0], **THIN)
    for chance in rows["chance"].drop_nulls().unique().sort():
        ax.axhline(chance, color=GREY, linestyle="--", linewidth=0.8, label=words("chance"))


def _found(groups: pl.DataFrame, hidden: Sequence[str], words: Words) -> str:
    """How many datasets pre-training alone teaches, by the rule of table `groups`."""
    groups = groups.filter(~pl.col("dataset").is_in(list(hidden)))
    if groups.is_empty():
        return words("Base scores over pre-training")
    return words("Pre-training alone teaches {k} of {n} datasets").format(
        k=(groups["group"] == "learned").sum(), n=len(groups)
    )


def _measured(table: pl.DataFrame, hidden: Sequence[str], words: Words) -> str:
    said = words("Score of the base models over pre-training, a panel a family of tasks.")
    if set(hidden) & set(table["dataset"]):
        said += " " + words(
            "Grey: untrained models are right already, as a constant answer is where labels are "
            "hidden; not a score."
        )
    return said
