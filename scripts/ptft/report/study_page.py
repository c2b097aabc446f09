"""The front page of a study, written from the files of its folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml

from ptft.analysis.costs import SCHEMA
from ptft.analysis.settings import Settings
from ptft.analysis.tables import COMPARING, TABLES
from ptft.analysis.tuned_models import shown
from ptft.language.words import Words
from ptft.report.deviations import deviations
from ptft.report.front_page import FrontPage, front_page
from ptft.report.hypothesis import hypothesis
from ptft.report.provenance import audit_summary, provenance
from ptft.report.rst import bullets
from ptft.report.trained import read_trained

AUDITS = ("audit_splits", "audit_prompts")


@dataclass(frozen=True)
class StudyFiles:
    """Files that a front page is made from.

    Attributes:
        study: the resolved study.
        cells: ``cells.parquet``.
        tables: folder of NAME.parquet, missing.csv and, if made, costs.csv, audits and arms.
        models: folder of tuned models, for their records.
        records: folder of deleted models' records.
        figures: folder of NAME.svg, shown in the page.
        examples: name of the page of single examples, for the link.
        progress: first paragraphs of an unfinished study.
    """

    study: Path
    cells: Path
    tables: Path
    models: Path
    records: Path | None = None
    figures: Path | None = None
    examples: str = ""
    progress: list[str] = field(default_factory=list)


def study_page(files: StudyFiles, figures: Mapping[str, str], words: Words) -> str:
    """The whole page as reStructuredText.

    Args:
        files: it is written from these.
        figures: file name in the report -> title (``ptft.figures.LINKED``).
        words: the language.
    """
    resolved = yaml.safe_load(files.study.read_text(encoding="utf-8"))
    study = resolved["study"]
    made = {name: files.tables / f"{name}.parquet" for name in TABLES}
    tables = {name: pl.read_parquet(path) for name, path in made.items() if path.exists()}
    file = files.tables / "arms.parquet"
    arms = pl.read_parquet(file) if file.exists() else None
    told = {
        name: table if name in COMPARING else shown(table, arms) for name, table in tables.items()
    }
    costs, missing = files.tables / "costs.csv", files.tables / "missing.csv"
    pictures = sorted(files.figures.glob("*.svg")) if files.figures else []
    page = FrontPage(
        title=study["study"],
        description=study.get("description") or "",
        tables=told | {"cells": pl.read_parquet(files.cells)},
        arms=arms,
        costs=pl.read_csv(costs, schema=SCHEMA) if costs.exists() else None,
        # Released tables have no plan that a score could be missing from.
        missing=len(pl.read_csv(missing)) if missing.exists() else 0,
        settings=Settings(**study.get("analysis", {})),
        figures=figures,
        pictures={path.stem: path.read_bytes() for path in pictures},
        examples=files.examples,
        hypothesis=hypothesis(study.get("hypothesis"), tables, words),
        about=_about(files, resolved, words),
        progress=files.progress,
    )
    return front_page(page, words)


def _about(files: StudyFiles, resolved: Mapping, words: Words) -> dict[str, list[str]]:
    """How the scores were made: deviations, audits, provenance."""
    trained = read_trained(files.models, files.records)
    about = {"Deviations from the paper": bullets(deviations(resolved, trained, words))}
    audits = [files.tables / f"{name}.parquet" for name in AUDITS]
    if all(path.exists() for path in audits):
        splits, prompts = map(pl.read_parquet, audits)
        about["Audit of labels and prompts"] = audit_summary(splits, prompts, trained, words)
    about["Where the numbers come from"] = provenance(resolved, words)
    return about
