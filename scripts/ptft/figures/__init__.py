"""Figures: what each is drawn from and where it is drawn, related ones in one module.

To add a figure, write a function ``draw_NAME`` in one of the modules, and its entry in ``FIGURES``.
Importing this package is cheap: a figure's module and matplotlib are imported only to draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ptft.language import label, use

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureSpec:
    """What the workflow needs to know about a figure."""

    module: str
    """Module of this package whose function ``draw_NAME`` draws it."""
    tables: tuple[str, ...]
    """Tables (of ``ptft.analysis.tables``, or `cells`) that all its numbers are from."""
    category: str
    """Category in the report."""
    title: str
    needs: str | None = None
    """What a study must have for this figure:

    `examples`: results of single examples (released scores have none); `formats`: several per
    dataset; `methods`: some to compare with full fine-tuning; `snapshots`: models on the way of a
    training; `texts`: generic text.
    """
    overlaid: str | None = None
    """Table from which another study's scores can be drawn over it."""


FIGURES: dict[str, FigureSpec] = {
    "abstract": FigureSpec(
        "gains",
        (
            "base_scores",
            "groups",
            "gains",
            "latent",
            "group_gains",
            "forgetting",
            "suspicious",
            "claims",
        ),
        "Abstract",
        "The study in four panels",
    ),
    "base_scores": FigureSpec(
        "pretraining",
        ("base_scores", "claims", "suspicious"),
        "Pre-training",
        "Base scores over pre-training",
        overlaid="base_scores",
    ),
    "base_vs_tuned": FigureSpec(
        "gains",
        ("gains", "claims", "suspicious"),
        "Fine-tuning",
        "Base and tuned scores",
        overlaid="gains",
    ),
    "gain_by_group": FigureSpec(
        "gains", ("group_gains",), "Fine-tuning", "Gain of learned and not learned datasets"
    ),
    "stopping": FigureSpec(
        "pretraining",
        ("stopping", "gains", "claims"),
        "Fine-tuning",
        "When pre-training could have stopped",
    ),
    "formats": FigureSpec(
        "formats", ("formats", "claims"), "Formats", "Scores by prompt format", needs="formats"
    ),
    "domains": FigureSpec(
        "gains", ("domains", "suspicious"), "Generalization", "Change in and out of domain"
    ),
    "transitions": FigureSpec(
        "forgetting",
        ("transitions",),
        "Forgetting",
        "Learned and forgotten examples",
        needs="examples",
    ),
    "forgetting": FigureSpec(
        "forgetting",
        ("forgetting", "base_scores", "claims"),
        "Forgetting",
        "Change on other families",
    ),
    "tradeoff": FigureSpec(
        "remedies", ("tradeoff",), "Forgetting", "What is gained against what is kept"
    ),
    "remedies": FigureSpec(
        "remedies",
        ("equal_gain", "claims"),
        "Forgetting",
        "What each method spares at the same gain",
        needs="methods",
    ),
    "along_finetuning": FigureSpec(
        "snapshots",
        ("along_finetuning",),
        "Forgetting",
        "Gain and forgetting along fine-tuning",
        needs="snapshots",
    ),
    "overtraining": FigureSpec(
        "pretraining",
        ("along_pretraining", "claims"),
        "Fine-tuning",
        "Each setting, and noise, along pre-training",
    ),
    "cross_evaluation": FigureSpec(
        "forgetting",
        ("cross_evaluation", "suspicious"),
        "Forgetting",
        "Every tuned model on every dataset",
    ),
    "generic_text": FigureSpec(
        "forgetting",
        ("generic_text", "claims"),
        "Forgetting",
        "Loss on generic text",
        needs="texts",
    ),
}


def figures_of(has: Iterable[str | None]) -> dict[str, FigureSpec]:
    """The figures of a study that has these things (``FigureSpec.needs``)."""
    needed = {None, *has}
    return {name: spec for name, spec in FIGURES.items() if spec.needs in needed}


AXES = ("index", "tokens")


@dataclass(frozen=True)
class Overlay:
    """Another study, whose scores are drawn over a figure."""

    study: str
    tables: Mapping[str, pl.DataFrame]
    """its table ``FigureSpec.overlaid`` and any others"""
    arms: pl.DataFrame | None = None
    """its table of arms, if it has one"""


def draw(
    name: str,
    tables: Mapping[str, pl.DataFrame],
    axis: str = "index",
    overlay: Overlay | None = None,
    arms: pl.DataFrame | None = None,
) -> Figure:
    """Draw one figure of ``FIGURES``, checkpoints by position or by tokens (``AXES``).

    Of a swept method only one setting is drawn (``tuned_models.shown``, from the table ``arms``),
    and named in ``method``.

    Raises:
        ValueError: there is no such figure, a table is missing, the figure takes no overlay, or
            the overlay and the study have no checkpoint in common.
    """
    if name not in FIGURES:
        raise ValueError(f"no figure named {name!r}; there are {', '.join(sorted(FIGURES))}")
    spec = FIGURES[name]
    absent = [table for table in spec.tables if table not in tables]
    if absent:
        raise ValueError(f"figure {name!r} needs table {absent[0]!r}; make it with analyse.py")
    if overlay is not None and spec.overlaid is None:
        raise ValueError(f"no study can be laid over figure {name!r}")
    from ptft.figures.axis import aligned, placed_on
    from ptft.figures.marks import settle_labels

    kept = {table: _shown(table, tables[table], arms) for table in spec.tables}
    placed = placed_on(axis, kept)
    function = getattr(import_module(f"ptft.figures.{spec.module}"), f"draw_{name}")
    laid_over = []
    if overlay is not None and spec.overlaid is not None:
        over = spec.overlaid
        others = _shown(over, overlay.tables[over], overlay.arms)
        laid_over = [aligned(others, placed[over], axis, overlay.study)]
    figure = function(placed, *laid_over)
    settle_labels(figure)
    return figure


def plot_figure(
    figure: str,
    tables_dir: Path,
    svg: Path,
    png: Path,
    titles: Path | None = None,
    language: str = "en",
    axis: str = "index",
    arms: Path | None = None,
    overlay: str | None = None,
    overlay_dir: Path | None = None,
) -> None:
    """Draw one figure from the tables of a study.

    Args:
        figure: its name
        tables_dir: folder of NAME.parquet
        svg: file to write
        png: file to write
        titles: names as people write them, JSON file
        language: of the figure
        axis: of the checkpoints: index, step or tokens
        arms: arms.parquet, for which settings are drawn
        overlay: name of a study that is laid over the figure
        overlay_dir: folder of its NAME.parquet
    """
    import polars as pl

    from ptft.figures.style import save
    from ptft.files import read_slice

    def read(folder: Path, names: Sequence[str]) -> dict[str, pl.DataFrame]:
        return {name: pl.read_parquet(folder / f"{name}.parquet") for name in names}

    spec = FIGURES[figure]
    laid_over = None
    if overlay and overlay_dir and spec.overlaid:
        file = overlay_dir / "arms.parquet"
        other = pl.read_parquet(file) if file.exists() else None
        laid_over = Overlay(overlay, read(overlay_dir, [spec.overlaid]), other)
    use(language, read_slice(titles, dict[str, dict[str, str]]) if titles else {})
    trained = pl.read_parquet(arms) if arms else None
    save(draw(figure, read(tables_dir, spec.tables), axis, laid_over, trained), svg, png)


def _shown(name: str, table: pl.DataFrame, arms: pl.DataFrame | None) -> pl.DataFrame:
    """The rows of a table that are drawn, with settings in the methods' names."""
    import polars as pl

    from ptft.analysis.tables import COMPARING
    from ptft.analysis.tuned_models import CHOSEN, shown

    if name in COMPARING or "setting" not in table.columns:
        return table
    rows = shown(table, arms)
    setting = pl.col("setting").replace(CHOSEN, label("chosen"))
    named = pl.concat_str("method", setting, separator=", ")  # null without a setting
    return rows.with_columns(pl.coalesce(named, "method").alias("method"))
