"""Figures: one a module, each drawn from the tables named here.

Importing this package is cheap: a figure's module (and matplotlib) is imported when it is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ptft.language.translation import Translate

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureSpec:
    """What the workflow needs to know of a figure without drawing it."""

    tables: tuple[str, ...]
    """Tables (of ``ptft.analysis.tables``, or `cells`) that it is drawn from: all its numbers."""
    category: str
    """Category of the report."""
    title: str
    overlaid: bool = False
    """Whether another study's scores can be laid over it."""


# Name of the figure = name of its module, whose `draw` makes it.
FIGURES: dict[str, FigureSpec] = {
    "base_scores": FigureSpec(
        ("base_scores",), "Pre-training", "Base scores over pre-training", overlaid=True
    ),
    "base_vs_tuned": FigureSpec(("gains",), "Fine-tuning", "Base and tuned scores", overlaid=True),
    "gain_by_group": FigureSpec(
        ("group_gains",), "Fine-tuning", "Gain of learned and not learned datasets"
    ),
    "stopping": FigureSpec(
        ("stopping", "gains"), "Fine-tuning", "When pre-training could have stopped"
    ),
    "formats": FigureSpec(("formats",), "Formats", "Scores by prompt format"),
    "domains": FigureSpec(("domains",), "Generalization", "Change in and out of domain"),
    "transitions": FigureSpec(("transitions",), "Forgetting", "Learned and forgotten examples"),
    "forgetting": FigureSpec(("forgetting",), "Forgetting", "Change on other families"),
    "tradeoff": FigureSpec(("tradeoff",), "Forgetting", "What is gained against what is kept"),
    "remedies": FigureSpec(
        ("equal_gain",), "Forgetting", "What each method spares at the same gain"
    ),
    "cross_evaluation": FigureSpec(
        ("cross_evaluation",), "Forgetting", "Every tuned model on every dataset"
    ),
    "generic_text": FigureSpec(("generic_text",), "Forgetting", "Loss on generic text"),
}


AXES = ("index", "tokens")


@dataclass(frozen=True)
class Overlay:
    """Another study whose scores are drawn into a figure."""

    study: str
    tables: Mapping[str, pl.DataFrame]
    """its tables, the same ones that the figure is drawn from"""
    arms: pl.DataFrame | None = None
    """its table of arms, if it has one"""


def draw(
    name: str,
    tables: Mapping[str, pl.DataFrame],
    translate: Translate = str,
    axis: str = "index",
    overlay: Overlay | None = None,
    arms: pl.DataFrame | None = None,
) -> Figure:
    """Draw one figure of ``FIGURES``, checkpoints by position or by tokens (``AXES``).

    Of a swept method one setting is drawn, and named (``ptft.analysis.arms.shown``, of the table
    ``arms``); in what is drawn, ``method`` is the method with its setting.

    Raises:
        ValueError: there is no such figure, a table it needs is not given, nothing can be laid
            over it, or the overlay has no checkpoint in common with the study.
    """
    if name not in FIGURES:
        raise ValueError(f"no figure named {name!r}; there are {', '.join(sorted(FIGURES))}")
    spec = FIGURES[name]
    absent = [table for table in spec.tables if table not in tables]
    if absent:
        raise ValueError(f"figure {name!r} needs table {absent[0]!r}; make it with analyse.py")
    if overlay is not None and not spec.overlaid:
        raise ValueError(f"no study can be laid over figure {name!r}")
    from ptft.figures.style import aligned, with_x

    kept = {table: _shown(table, tables[table], arms, translate) for table in spec.tables}
    placed = {table: with_x(rows, axis) for table, rows in kept.items()}
    module = import_module(f"ptft.figures.{name}")
    if overlay is None:
        return module.draw(placed, translate)
    over = {
        table: aligned(
            _shown(table, overlay.tables[table], overlay.arms, translate),
            tables[table],
            axis,
            overlay.study,
        )
        for table in spec.tables
    }
    return module.draw(placed, translate, over)


def _shown(
    name: str, table: pl.DataFrame, arms: pl.DataFrame | None, translate: Translate
) -> pl.DataFrame:
    """What is drawn of a table, each method with its setting in its name."""
    import polars as pl

    from ptft.analysis.arms import CHOSEN, shown
    from ptft.analysis.tables import COMPARING

    if name in COMPARING or "setting" not in table.columns:
        return table
    rows = shown(table, arms)
    setting = pl.col("setting").replace(CHOSEN, translate("chosen"))
    named = pl.concat_str("method", setting, separator=", ")  # null without a setting
    return rows.with_columns(pl.coalesce(named, "method").alias("method"))
