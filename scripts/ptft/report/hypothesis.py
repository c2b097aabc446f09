"""What a study expects, and the table row that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from ptft.language.words import Words
from ptft.report.rst import csv_table, literal, number, plain


def hypothesis(
    expected: Mapping[str, Any] | None, tables: Mapping[str, pl.DataFrame], words: Words
) -> list[str]:
    """Paragraphs of reStructuredText: the study's own words, then the deciding row.

    Args:
        expected: `hypothesis` of the study (``ptft.study.schema.Hypothesis``), if it has one.
        tables: of the study, by name.
        words: the language.

    Raises:
        ValueError: the table lacks a column, or not exactly one row matches.
    """
    if not expected:
        return []
    said = f"**{words('Hypothesis')}:** {plain(expected['text'])}"
    name, wanted = expected.get("table"), expected.get("row") or {}
    if name is None:
        return [said]
    table = tables[name]
    for column in wanted:
        if column not in table.columns:
            raise ValueError(
                f"hypothesis.row: table {name!r} has no column {column!r}; it has "
                f"{', '.join(table.columns)}"
            )
    rows = table.filter(*(pl.col(column).eq_missing(value) for column, value in wanted.items()))
    if len(rows) != 1:
        raise ValueError(
            f"hypothesis.row: {len(rows)} rows of table {name!r} are {dict(wanted)}, expected one; "
            f"see {name}.csv, and give more columns or other values"
        )
    answer = {
        column: value
        for column, value in rows.row(0, named=True).items()
        if column not in wanted and value is not None
    }
    about = words("Decided by table {table}, row {row}:").format(
        table=literal(name),
        row=", ".join(f"{literal(key)} = {plain(str(value))}" for key, value in wanted.items()),
    )
    cells = [[literal(column), _cell(value)] for column, value in answer.items()]
    return [said, about, csv_table([words("column"), words("value")], cells)]


def _cell(value: object) -> str:
    return number(value) if isinstance(value, float) else plain(str(value))
