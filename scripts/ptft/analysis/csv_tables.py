"""Tables as CSV: text that a spreadsheet would take for a formula begins with an apostrophe."""

from pathlib import Path

import polars as pl

FORMULA = r"^[=+\-@\t\r]"
"""how a formula begins: https://owasp.org/www-community/attacks/CSV_Injection"""


def csv_text(table: pl.DataFrame) -> str:
    """A table as CSV; only columns of text are touched."""
    text = pl.col(pl.String)
    return table.with_columns(
        pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text).name.keep()
    ).write_csv()


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV."""
    path.write_text(csv_text(table), encoding="utf-8")
