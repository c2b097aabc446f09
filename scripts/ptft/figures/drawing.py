"""Drawing a study's figures from its tables: which rows are shown, what is marked in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from ptft.analysis.tables import COMPARING
from ptft.analysis.tuned_models import CHOICE, CHOSEN, and_chosen, learned_seeds, shown
from ptft.figures import FIGURES
from ptft.figures.axis import placed_on
from ptft.figures.marks import name_series
from ptft.figures.style import nothing_to_draw, save
from ptft.language import label, use_wording


def draw(
    name: str,
    tables: Mapping[str, pl.DataFrame],
    arms: pl.DataFrame | None = None,
) -> Figure:
    """Draw one figure of ``FIGURES``.

    Of a swept method only one setting is drawn (``tuned_models.shown``, from the table ``arms``),
    and named in ``method``.

    Raises:
        ValueError: there is no such figure, or a table is missing.
    """
    if name not in FIGURES:
        raise ValueError(f"no figure named {name!r}; there are {', '.join(sorted(FIGURES))}")
    spec = FIGURES[name]
    absent = [table for table in spec.tables if table not in tables]
    if absent:
        raise ValueError(f"figure {name!r} needs table {absent[0]!r}; make it with analyse.py")
    marked = {table: _marked(table, tables, arms) for table in spec.tables}
    kept = {name: _shown(name, table, arms) for name, table in marked.items()}
    function = getattr(import_module(f"ptft.figures.{spec.module}"), f"draw_{name}")
    drawn = None if kept[spec.tables[0]].is_empty() else function(placed_on(kept))
    figure = drawn or nothing_to_draw()
    name_series(figure)
    return figure


def draw_figures(
    figures: Iterable[str],
    tables_dir: Path,
    output_dir: Path,
    arms: Path | None = None,
    kinds: Sequence[str] = ("svg", "png"),
) -> None:
    """Write NAME.svg and NAME.png of figures, from NAME.parquet of tables.

    Args:
        arms: arms.parquet, for which settings are drawn.
        kinds: of files.
    """
    trained = pl.read_parquet(arms) if arms else None
    for name in figures:
        tables = {
            table: pl.read_parquet(tables_dir / f"{table}.parquet")
            for table in FIGURES[name].tables
        }
        files = (output_dir / f"{name}.{kind}" for kind in kinds)
        save(draw(name, tables, trained), *files)


def plot_figures(
    figures: list[str],
    tables_dir: Path,
    output_dir: Path,
    wording: Path | None = None,
    arms: Path | None = None,
) -> None:
    """Draw figures from the tables of a study.

    Args:
        figures: their names
        tables_dir: folder of NAME.parquet
        output_dir: folder of the NAME.svg and NAME.png that are written
        wording: language and titles, JSON file
        arms: arms.parquet, for which settings are drawn
    """
    use_wording(wording)
    draw_figures(figures, tables_dir, output_dir, arms)


SCORES: dict[str, dict[str, tuple[bool, ...]]] = {
    "base_scores": {"value": (False,)},
    "gains": {"tuned": (True,), "base": (False,), "gain": (True, False)},
    "formats": {"value": (True,)},
}
"""table of scores -> column -> whose they are: of the row's own model (true), of its base model"""


def _marked(
    name: str, tables: Mapping[str, pl.DataFrame], arms: pl.DataFrame | None
) -> pl.DataFrame:
    """A table with its scores' warnings (`SCORE_flags`), and how many seeds learned."""
    table = tables[name]
    if "suspicious" in tables:
        found = tables["suspicious"]
        if arms is not None:
            found = and_chosen(found, arms)
        for score, models in SCORES.get(name, {}).items():
            told = [_flags(table, found, own).fill_null([]) for own in models]
            flags = pl.concat_list(told).list.unique(maintain_order=True)
            table = table.with_columns(flags.alias(f"{score}_flags"))
    known = arms is not None and {*CHOICE, "setting", "derived"} <= {*table.columns}
    if known and "n_learned" not in table.columns and "learned" in arms.columns:
        seeds = learned_seeds(arms).filter(pl.col("trained") > 0)
        counts = seeds.select(
            *CHOICE, "setting", derived=None, n_learned="learned", trained="trained"
        )
        on = [*CHOICE, "setting", "derived"]
        counts = counts.cast({"derived": pl.String})
        table = table.join(counts, on=on, how="left", nulls_equal=True, maintain_order="left")
        table = table.with_columns(n_seeds=pl.coalesce("^n_seeds$", "trained")).drop("trained")
    return table


def _flags(table: pl.DataFrame, found: pl.DataFrame, own: bool) -> pl.Series:
    """Warnings of each row's own model, or of its base model; null where there is none."""
    arm = ["method", "train_task", "setting"] if own else []
    keys = ["checkpoint", "dataset", "format", "shots", *arm]
    of = found if own else found.filter(pl.col("method").is_null())
    told = of.group_by(keys).agg("flag")
    return table.join(told, on=keys, how="left", nulls_equal=True, maintain_order="left")["flag"]


def _shown(name: str, table: pl.DataFrame, arms: pl.DataFrame | None) -> pl.DataFrame:
    """The rows of a table that are drawn, with settings in the methods' names."""
    if name in COMPARING or "setting" not in table.columns:
        return table
    rows = shown(table, arms)
    setting = pl.col("setting").replace(CHOSEN, label("chosen"))
    named = pl.concat_str("method", setting, separator=", ")  # null without a setting
    return rows.with_columns(pl.coalesce(named, "method").alias("method"))
