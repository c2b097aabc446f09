"""Tables as web pages of their own: sortable, filterable, downloadable, loading nothing."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import polars as pl

from ptft.analysis.csv_tables import csv_text, without_empty, write_csv
from ptft.language.translation import Translate
from ptft.report.embedded_json import script_json
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

SCRIPT = """
const table = JSON.parse(document.getElementById("data").textContent);
const body = document.querySelector("tbody"), state = {column: null, up: true};
const show = value => value === null ? "" :
  typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value);
function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return state.up ? order : -order;
}
function draw() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\\s+/);
  let rows = table.rows.filter(row => {
    const text = row.map(show).join(" ").toLowerCase();
    return words.every(word => text.includes(word));
  });
  if (state.column !== null)
    rows = [...rows].sort((a, b) => compare(a[state.column], b[state.column]));
  document.getElementById("count").textContent =
    `${Math.min(rows.length, table.limit)} / ${rows.length}`;
  body.replaceChildren(...rows.slice(0, table.limit).map(row => {
    const line = document.createElement("tr");
    row.forEach(value => {
      const cell = document.createElement("td");
      cell.textContent = show(value);
      if (typeof value === "number") cell.className = "number";
      line.append(cell);
    });
    return line;
  }));
}
document.querySelectorAll("th").forEach((head, column) => {
  head.querySelector("button").addEventListener("click", () => {
    state.up = state.column === column ? !state.up : true;
    state.column = column;
    document.querySelectorAll("th").forEach(th => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", state.up ? "ascending" : "descending");
    draw();
  });
});
document.getElementById("filter").addEventListener("input", draw);
draw();
"""


def write_table(
    table: pl.DataFrame, file: Path, about: str, translate: Translate, language: str
) -> None:
    """Write a table to a parquet file, and beside it as CSV and as a page (:func:`table_page`)."""
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
        table: what is shown, less empty columns of arms; numbers to four digits, the download has
            all of them.
        name: of the table, its heading and the name of the download.
        about: what the columns mean, shown on demand.
        say: the language of the controls.
        language: its code.
    """
    table = without_empty(table)
    data = {"rows": [list(row) for row in table.rows()], "limit": ROWS_SHOWN}
    embedded = script_json(data)
    csv = base64.b64encode(csv_text(table).encode()).decode()
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
<a download="{html.escape(name)}.csv"
 href="data:text/csv;base64,{csv}">{translate("Download as CSV")}</a>
</div>
<div class="wrap"><table><thead><tr>{heads}</tr></thead><tbody></tbody></table></div>
<script id="data" type="application/json">{embedded}</script>
<script>{SCRIPT}</script>"""
    return web_page(name, STYLE, body, language)
