"""What a study expects before it is run."""

from typing import Annotated

from pydantic import Field, model_validator

from ptft.analysis.tables import TABLES
from ptft.files.errors import PlacedError, suggest
from ptft.files.types import Part, Strict


class Hypothesis(Strict):
    """What the study expects, and where its answer will be."""

    text: Annotated[str, Field(min_length=1)]
    """in words; it heads the report"""
    table: Part | None = None
    """of the results, whose row decides it"""
    row: dict[Part, bool | int | float | str] = {}
    """column -> value, which only that row has"""

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
