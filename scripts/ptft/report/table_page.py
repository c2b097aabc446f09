"""Tables as separate web pages: sortable, filterable, downloadable, loading nothing.

The page's script is in a file beside this module.
"""

from __future__ import annotations

import html
from pathlib import Path

import polars as pl

from ptft.analysis.csv_tables import csv_text, without_empty, write_csv
from ptft.language.translation import Translate
from ptft.report.embedded_json import packed_data, script_json
from ptft.report.web_page import web_page

# Rows drawn at a time; sorting, filtering and the download always cover the whole table.
ROWS_SHOWN = 300

STYLE = """
.bar input { padding: .35rem .5rem; font: inherit; min-width: 12rem; }
.wrap { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #e0e0e0; text-align: left;
  white-space: nowrap; }
th { position: sticky; top: 0; background: #f4f4f4; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid #0072B2; }
td.number { text-align: right; }
"""


def write_table(
    table: pl.DataFrame, file: Path, about: str, translate: Translate, language: str
) -> None:
    """Write a table as parquet, and beside it as CSV and as a page (:func:`table_page`)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(file)
    write_csv(table, file.with_suffix(".csv"))
    page = table_page(table, file.stem, about, translate, language)
    file.with_suffix(".html").write_text(page, encoding="utf-8")


def table_page(
    table: pl.DataFrame, name: str, about: str, translate: Translate = str, language: str = "en"
) -> str:
    """A whole HTML page with one table.

    Args:
        table: shown without empty columns of arms, numbers with four digits; the page has its
            rows once, as the text of the CSV, which is the download with all digits.
        name: of the table, its heading and the download.
        about: what the columns mean, shown on demand.
        translate: into the language of the controls.
        language: its code.
    """
    table = without_empty(table)
    numbers = [name for name, kind in table.schema.items() if kind.is_numeric()]
    settings = script_json({"numbers": numbers, "limit": ROWS_SHOWN})
    script = "\n" + Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    heads = "".join(
        f'<th scope="col"><button type="button">{html.escape(column)}</button></th>'
        for column in table.columns
    )
    body = f"""<details><summary>{translate("What the columns mean")}</summary>
<pre>{html.escape(about)}</pre></details>
<div class="bar">
<input id="filter" type="search"
 placeholder="{translate("Filter")}" aria-label="{translate("Filter")}">
<span>{translate("rows")}: <span id="count"></span></span>
<a download="{html.escape(name)}.csv">{translate("Download as CSV")}</a>
</div>
<div class="wrap"><table><thead><tr>{heads}</tr></thead><tbody></tbody></table></div>
{packed_data(csv_text(table), f"const table = {settings};{script}")}"""
    return web_page(name, STYLE, body, language)
