"""What a study expects before it is run."""

from typing import Annotated

from pydantic import Field, model_validator

from ptft.analysis.tables import TABLES
from ptft.errors import PlacedError, suggest
from ptft.study.types import Part, Strict


class Hypothesis(Strict):
    """What the study expects, and where its answer will be."""

    text: Annotated[str, Field(min_length=1)]
    """in words; shown at the top of the report"""
    table: Part | None = None
    """results table with the row that decides it"""
    row: dict[Part, bool | int | float | str] = {}
    """column -> value, to identify that row"""

    @model_validator(mode="after")
    def _known_table(self) -> "Hypothesis":
        if self.table is None and self.row:
            raise PlacedError(("row",), "is of no table; name it under `table`")
        if self.table is not None and self.table not in TABLES:
            raise PlacedError(
                ("table",), f"unknown table {self.table!r}; {suggest(self.table, sorted(TABLES))}"
            )
        if self.table is not None and not self.row:
            raise PlacedError(("row",), "is missing; say which row of the table decides")
        return self
