"""Tables as CSV: text that a spreadsheet would take for a formula gets an apostrophe in front."""

from pathlib import Path

import polars as pl

FORMULA = r"^[=+\-@\t\r]"
"""start of a formula: https://owasp.org/www-community/attacks/CSV_Injection"""
OPTIONAL = ("setting", "derived", "strength")
"""columns of arms that few studies fill"""


def without_empty(table: pl.DataFrame) -> pl.DataFrame:
    """A table for people, without empty columns of ``OPTIONAL``."""
    return table.drop(
        name for name in OPTIONAL if name in table.columns and table[name].is_null().all()
    )


def csv_text(table: pl.DataFrame) -> str:
    """A table as CSV; apostrophes only in text columns."""
    text = pl.col(pl.String)
    return table.with_columns(
        pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text).name.keep()
    ).write_csv()


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV."""
    path.write_text(csv_text(table), encoding="utf-8")


def write_table(table: pl.DataFrame, file: Path) -> None:
    """Write a table as parquet, and beside it as CSV."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(file)
    write_csv(table, file.with_suffix(".csv"))
