"""Tables as CSV: text that a spreadsheet would take for a formula begins with an apostrophe."""

from pathlib import Path

import polars as pl

FORMULA = r"^[=+\-@\t\r]"
"""how a formula begins: https://owasp.org/www-community/attacks/CSV_Injection"""
OPTIONAL = ("setting", "derived", "strength")
"""columns of arms that few studies fill"""


def without_empty(table: pl.DataFrame) -> pl.DataFrame:
    """A table for people, without columns of ``OPTIONAL`` that are empty."""
    return table.drop(
        name for name in OPTIONAL if name in table.columns and table[name].is_null().all()
    )


def csv_text(table: pl.DataFrame) -> str:
    """A table as CSV; only columns of text are touched."""
    text = pl.col(pl.String)
    return table.with_columns(
        pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text).name.keep()
    ).write_csv()


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV."""
    path.write_text(csv_text(table), encoding="utf-8")
