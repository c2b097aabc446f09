"""An unfinished study: which cells exist, as its preview says it, and the preview's page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl
from docutils.core import publish_parts

from ptft.analysis.cell_scores import KEY_SCHEMA
from ptft.language.translation import Translate
from ptft.report.embedding import with_folds
from ptft.report.rst import bullets, csv_table, plain
from ptft.report.web_page import html_page

MODEL = ["checkpoint", "arm"]
# No text of a study reads a file into the page, or brings markup of its own.
SAFE = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}

# Beside the report's own style, which Snakemake adds to that of its page.
STYLE = """
body { font-family: system-ui, sans-serif; margin: 1rem auto; padding: 0 1rem; max-width: 46rem; }
img { max-width: 100%; }
.progress { border: 2px solid #D55E00; padding: 0 1rem; margin: 1rem 0; }
"""


def holes(there: Iterable[tuple], missing: pl.DataFrame) -> pl.DataFrame:
    """How many cells of each model exist.

    One row per checkpoint and arm of the study: cells (that have a score), of (cells of the
    study), missing (of - cells).

    Args:
        there: keys of scored cells.
        missing: keys of the others, as columns.
    """
    keys = pl.DataFrame([*there], schema=KEY_SCHEMA, orient="row").select(MODEL)
    every = pl.concat(
        [keys.with_columns(there=True), missing.select(MODEL).with_columns(there=False)]
    )
    counted = every.group_by(MODEL).agg(
        pl.col("there").sum().cast(pl.Int64).alias("cells"), pl.len().cast(pl.Int64).alias("of")
    )
    return counted.with_columns((pl.col("of") - pl.col("cells")).alias("missing")).sort(MODEL)


def progress_said(table: pl.DataFrame, made: str, translate: Translate) -> list[str]:
    """Paragraphs: how much exists, when that was, and which arms have holes.

    Args:
        table: ``holes``.
        made: time, for people.
    """
    there, every = table["cells"].sum(), table["of"].sum()
    by_arm = (
        table.group_by("arm", maintain_order=True)
        .agg(
            (pl.col("missing") == 0).sum().alias("whole"),
            pl.len().alias("models"),
            pl.col("cells", "of", "missing").sum(),
        )
        .filter(pl.col("missing") > 0)
    )
    said = translate(
        "**Study in progress: {there} of {all} cells at {made}.** Every number on this page "
        "is based on these cells and will change."
    ).format(there=f"{there:,}", all=f"{every:,}", made=made)
    heads = [translate(head) for head in ("model", "complete checkpoints", "cells")]
    rows = [
        [
            plain(row["arm"]),
            f"{row['whole']} / {row['models']}",
            f"{row['cells']:,} / {row['of']:,}",
        ]
        for row in by_arm.iter_rows(named=True)
    ]
    return [said, csv_table(heads, rows)] if rows else [said]


def tables_said(names: Iterable[str], translate: Translate) -> str:
    """A section that links the pages of tables, in reStructuredText."""
    title = translate("Tables")
    return "\n".join([title, "-" * (2 * len(title)), "", *bullets(f"`{name}`_" for name in names)])


def page_of(page: str, links: dict[str, str], title: str, language: str, style: Path) -> str:
    """A whole HTML page with its pictures and links to the files beside it.

    Args:
        page: reStructuredText, as ``ptft.report.front_page`` writes it.
        links: name in the page -> path of a file.
        title: of the window.
        language: its code.
        style: CSS of the report.
    """
    targets = "\n".join(f".. _{name}: {path}" for name, path in links.items())
    body = publish_parts(f"{page}\n{targets}\n", writer="html5", settings_overrides=SAFE)
    css = f"{STYLE}{style.read_text(encoding='utf-8')}"
    shown = with_folds(body["html_body"])
    return html_page(title, css, f'<body class="prose max-w-lg">\n{shown}\n</body>', language)
