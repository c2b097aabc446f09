"""The type of a study that compares finished studies; it runs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ptft.analysis.tables import TABLES
from ptft.errors import checked, refusal, require_keys_once
from ptft.paths import Results
from ptft.study.types import ONCE, Name, Strict

NEEDED = ("cells", "base_scores", "gains", "forgetting")
"""tables that curves are compared from"""


class ComparedReport(Strict):
    """How figures and report look."""

    language: Literal["en", "ja"] = "en"
    """language of figures, tables and report"""


class ComparedStudy(Strict):
    """A file of config/ with `compare:`: the models of several studies in the same tables."""

    study: Name
    """name of the comparison and of its folder in results/"""
    description: str = ""
    """description in words"""
    compare: Annotated[list[Name], Field(min_length=2), *ONCE]
    """names of studies finished in this folder, in the order of tables and figures"""
    report: ComparedReport = ComparedReport()
    """how figures and report look"""


def read_compared_study(config: Mapping, files: Sequence[Path]) -> ComparedStudy:
    """Check the config of a comparison, and that its studies are there.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    require_keys_once(files)
    study = checked(ComparedStudy, dict(config), files)
    for number, name in enumerate(study.compare):
        if name == study.study:
            raise refusal(files, ("compare", number), f"{name!r} is this comparison itself")
        absent = [table for table in NEEDED if not Path(Results(name).table(table)).is_file()]
        if absent:
            raise refusal(
                files,
                ("compare", number),
                f"study {name!r} has no {Results(name).table(absent[0])}; run that study first, in "
                "this folder",
            )
    return study


def common_tables(studies: Sequence[str]) -> list[str]:
    """Names of the tables that all of these studies have."""
    folders = [Results(study) for study in studies]
    return [
        name for name in TABLES if all(Path(folder.table(name)).is_file() for folder in folders)
    ]
