"""Analyses: pure functions from scores to tidy tables, related analyses in one module.

Importing this package is cheap (no polars): a table's module is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from ptft.analysis.scores import Scores
    from ptft.analysis.settings import Settings

# Name of the table -> the module of this package with the function of that name, which makes it.
TABLES: dict[str, str] = {
    "base_scores": "learning",
    "groups": "learning",
    "gains": "gains",
    "trainings": "gains",
    "latent": "learning",
    "group_gains": "gains",
    "gain_trends": "gains",
    "paper_groups": "gains",
    "forgetting": "forgetting",
    "transfer": "forgetting",
    "random_effects": "random_effects",
    "formats": "formats",
    "format_trends": "formats",
    "stopping": "stopping",
    "suspicious": "learning",
    "tradeoff": "remedies",
    "equal_gain": "remedies",
    "remedy_trends": "remedies",
    "along_finetuning": "snapshots",
    "exchange": "snapshots",
    "overtraining": "overtraining",
    "noise": "overtraining",
    "along_pretraining": "overtraining",
    "noise_sensitivity": "overtraining",
    "generic_text": "forgetting",
    "retention": "chains",
    "chains": "chains",
    "claims": "claims",
}

# Tables that compare arms: all settings and derived arms belong to what they say.
COMPARING = {
    "claims",
    "suspicious",
    "tradeoff",
    "equal_gain",
    "remedy_trends",
    "along_finetuning",
    "exchange",
    "overtraining",
    "noise",
    "along_pretraining",
    "noise_sensitivity",
    "retention",
    "chains",
}


def about_table(name: str) -> str:
    """A table's content, computation and source: its function's docstring."""
    function = getattr(import_module(f"ptft.analysis.tables.{TABLES[name]}"), name)
    return getdoc(function) or ""


def make_table(name: str, scores: Scores, settings: Settings) -> pl.DataFrame:
    """Make one table of ``TABLES``.

    Raises:
        ValueError: there is no such table.
    """
    if name not in TABLES:
        raise ValueError(f"no table named {name!r}; there are {', '.join(sorted(TABLES))}")
    return getattr(import_module(f"ptft.analysis.tables.{TABLES[name]}"), name)(scores, settings)


def analyse(
    cells: Path,
    output_dir: Path,
    replicates: Path | None = None,
    arms: Path | None = None,
    settings: Path | None = None,
    tables: tuple[str, ...] = (),
) -> None:
    """Make tables of the analyses: NAME.parquet and .csv for every table.

    Args:
        cells: cells.parquet
        output_dir: folder to write into
        replicates: paired bootstrap means of the cells; without, cells count as independent and
            normal with their standard error
        arms: arms.parquet, for what validation chooses
        settings: analysis settings, JSON file; without, the defaults
        tables: names of tables; without, all
    """
    import polars as pl

    from ptft.analysis.csv_tables import write_table
    from ptft.analysis.scores import Scores
    from ptft.analysis.settings import Settings
    from ptft.analysis.tuned_models import with_chosen
    from ptft.files import read_slice

    chosen = read_slice(settings, Settings) if settings else Settings()
    draws = pl.scan_parquet(replicates) if replicates else None
    scores = Scores.build(pl.read_parquet(cells), draws)
    if arms:
        scores = with_chosen(scores, pl.read_parquet(arms))
    for name in tables or TABLES:
        write_table(make_table(name, scores, chosen), output_dir / f"{name}.parquet")
