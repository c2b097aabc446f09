"""Base scores over pre-training, a panel a family (the paper's Figure 2)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from ptft.figures.style import (
    GREY,
    THIN,
    checkpoint_axis,
    colour,
    curve,
    from_zero,
    nothing_to_draw,
    panel_legend,
    panels,
    pretty,
    thin_curve,
)
from ptft.language.translation import Translate


def draw(
    tables: Mapping[str, pl.DataFrame],
    translate: Translate,
    overlay: Mapping[str, pl.DataFrame] | None = None,
) -> Figure:
    """One line a dataset with its interval; chance as a dashed line; thin: another study's."""
    table = tables["base_scores"]
    other = overlay["base_scores"] if overlay else table.clear()
    if table.is_empty():
        return nothing_to_draw(translate("no base model was evaluated"))
    shown = table.select("kind", "family").unique().sort(pl.all())
    figure, axes = panels(len(shown), columns=3, height=2.4)
    for ax, (kind, family) in zip(axes, shown.iter_rows(), strict=True):
        rows = table.filter(pl.col("family") == family, pl.col("kind") == kind)
        for number, ((dataset,), line) in enumerate(
            rows.sort("dataset").group_by("dataset", maintain_order=True)
        ):
            curve(ax, line, "value", dataset, number)
            same = other.filter(pl.col("dataset") == dataset, pl.col("metric") == line["metric"][0])
            # In the colour of the dataset, whose own label is enough: the legend says whose it is.
            thin_curve(ax, same, "value", f"_{dataset}", color=colour(number))
        if len(shared := other.filter(pl.col("dataset").is_in(rows["dataset"].unique().to_list()))):
            ax.plot([], [], label=shared["study"][0], **THIN)
        for chance in rows["chance"].drop_nulls().unique().sort():
            ax.axhline(chance, color=GREY, linestyle="--", linewidth=0.8, label=translate("chance"))
        ax.set_title(pretty(family))
        ax.set_ylabel(rows["metric"][0])
        from_zero(ax)
        checkpoint_axis(ax, table, translate)
        panel_legend(ax)
    return figure
