"""Finished studies side by side: their tables with the model as a column, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from ptft import language as said
from ptft.analysis.studies import QUANTITIES, differences, joined, study_curves
from ptft.analysis.tables import TABLES, about_table
from ptft.errors import StudyError
from ptft.language.translation import translator
from ptft.language.words import Words
from ptft.paths import Results
from ptft.study.load import LIBRARY, read_families, titles

NEEDED = ("cells", "base_scores", "gains", "forgetting")
"""tables that curves are compared from"""


def read_tables(studies: Sequence[str], root: Path = Path()) -> dict[str, dict[str, pl.DataFrame]]:
    """Study -> its tables by name: those of ``TABLES`` that all studies have, `cells` and `arms`.

    Args:
        studies: names of studies that were run in ``root``.

    Raises:
        StudyError: naming the study that is named twice or was not run, and its missing table.
    """
    for study in studies:
        absent = [table for table in NEEDED if not (root / Results(study).table(table)).is_file()]
        if absent:
            raise StudyError(
                f"study {study!r} has no {Results(study).table(absent[0])}; run that study first, "
                "in this folder"
            )
        if studies.count(study) > 1:
            raise StudyError(f"study {study!r} is named twice; name each study once")
    if len(studies) < 2:
        raise StudyError("found one study; name two or more studies to compare")
    there = {
        study: {
            name: root / Results(study).table(name)
            for name in ("cells", "arms", *TABLES)
            if (root / Results(study).table(name)).is_file()
        }
        for study in studies
    }
    common = {"cells", "arms", *set.intersection(*map(set, there.values()))}
    return {
        study: {name: pl.read_parquet(file) for name, file in files.items() if name in common}
        for study, files in there.items()
    }


def compare_studies(
    studies: Sequence[str], output: Path, description: str = "", language: str = "en"
) -> None:
    """Write tables, figures and a page about finished studies; no model is run.

    Tables `compared` (curves over the tokens of pre-training) and `differences` (tests of whether
    the models differ), and each table that all studies have, with columns `study` and `model`.

    Args:
        studies: names of studies that were run in this folder, in the order of tables and figures.
        output: folder for tables/, figures/ and report.html; its name is the page's title.
        description: of the comparison, one paragraph.
        language: of figures and pages.

    Raises:
        StudyError: a study was not run here, or the output is the folder of one of them.
        ValueError: a checkpoint has no token count.
    """
    if any(Path(Results(study).root).resolve() == output.resolve() for study in studies):
        raise StudyError(f"{output} is the folder of a study that is compared; name another one")
    tables = read_tables(studies)
    names = titles(read_families([LIBRARY])[0])
    said.use(language, names)
    words = Words(translator(language), names)
    curves = study_curves(tables)
    _write_tables(tables, curves, output / "tables", words, language)
    pictures = _draw(curves, output)
    _write_page(tables, curves, pictures, output, description, words)


def _write_tables(
    tables: Mapping[str, Mapping[str, pl.DataFrame]],
    curves: pl.DataFrame,
    folder: Path,
    words: Words,
    language: str,
) -> None:
    from ptft.report.table_page import write_table

    common = [name for name in TABLES if all(name in found for found in tables.values())]
    made = {
        "compared": (curves, study_curves.__doc__),
        "differences": (differences(curves), differences.__doc__),
        **{name: (joined(name, tables), about_table(name)) for name in common},
    }
    for name, (table, about) in made.items():
        write_table(table, folder / f"{name}.parquet", about or "", words.translate, language)


def _draw(curves: pl.DataFrame, output: Path) -> dict[str, bytes]:
    """Quantity -> SVG of its figure."""
    from ptft.figures.studies import draw_studies
    from ptft.figures.style import save

    found = {}
    for quantity in QUANTITIES:
        svg, png = (output / "figures" / f"{quantity}.{kind}" for kind in ("svg", "png"))
        save(draw_studies(curves, differences(curves), quantity), svg, png)
        found[quantity] = svg.read_bytes()
    return found


def _write_page(
    tables: Mapping[str, Mapping[str, pl.DataFrame]],
    curves: pl.DataFrame,
    pictures: Mapping[str, bytes],
    output: Path,
    description: str,
    words: Words,
) -> None:
    from docutils.core import publish_string

    from ptft.report.compared_page import compared_page

    cells = pl.concat([found["cells"] for found in tables.values()], how="diagonal_relaxed")
    shown = {"cells": cells, "compared": curves, "differences": differences(curves)}
    page = compared_page(output.name, description, shown, pictures, words)
    settings = {"file_insertion_enabled": False, "raw_enabled": False}
    html = publish_string(page, writer="html5", settings_overrides=settings)
    (output / "report.html").write_bytes(html)
