"""Finished studies side by side: their tables with the model as a column, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import polars as pl
import tyro

from ptft import language as said
from ptft.analysis.csv_tables import write_table
from ptft.analysis.studies import QUANTITIES, differences, joined, study_curves
from ptft.analysis.tables import TABLES
from ptft.errors import StudyError
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
    studies: tyro.conf.Positional[tuple[str, ...]],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    language: str = "en",
) -> None:
    """Put finished studies side by side in tables and figures; nothing is trained or scored.

    Tables `compared` (curves over the tokens of pre-training) and `differences` (tests of whether
    the models differ), and each table that all studies have, with columns `study` and `model`.

    Args:
        studies: names of studies that were run in this folder
        output: folder for tables/ and figures/
        language: of figures: en, ja

    Raises:
        StudyError: a study was not run here, or the output is the folder of one of them.
        ValueError: a checkpoint has no token count.
    """
    if any(Path(Results(study).root).resolve() == output.resolve() for study in studies):
        raise StudyError(f"{output} is the folder of a study that is compared; name another one")
    tables = read_tables(studies)
    said.use(language, titles(read_families([LIBRARY])[0]))
    curves = study_curves(tables)
    found = differences(curves)
    common = [name for name in TABLES if all(name in own for own in tables.values())]
    joint = {name: joined(name, tables) for name in common}
    for name, table in {"compared": curves, "differences": found, **joint}.items():
        write_table(table, output / "tables" / f"{name}.parquet")
    from ptft.figures.studies import draw_studies
    from ptft.figures.style import save

    for quantity in QUANTITIES:
        svg, png = (output / f"figures/{quantity}.{kind}" for kind in ("svg", "png"))
        save(draw_studies(curves, found, quantity), svg, png)
