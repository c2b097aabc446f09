"""How a dataset's columns become labels, right choices and the fields of a template."""

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from ptft.data.mapping import TRANSFORMS
from ptft.errors import PlacedError
from ptft.study.types import ONCE, Strict

if TYPE_CHECKING:
    Transform = str
else:
    Transform = Literal[tuple(TRANSFORMS)]


class Label(Strict):
    """Where a classification label is and how it is named."""

    column: str
    """column with the label"""
    values: dict[bool | int | str, str] | None = None
    """value of the column -> label of the family"""
    above: float | None = None
    """a value above this gets the second of ``names``, any other the first"""
    names: Annotated[list[str], Field(min_length=2, max_length=2), *ONCE] | None = None
    """labels for values up to ``above`` and above it"""

    @model_validator(mode="after")
    def _one_way(self) -> "Label":
        if (self.values is None) == (self.above is None) or (self.above is None) != (
            self.names is None
        ):
            raise ValueError("give either `values`, or `above` and `names`")
        return self


class Answer(Strict):
    """Where the right choice of a multiple-choice question is."""

    column: str | None = None
    """column with the right choice"""
    values: dict[bool | int | str, int] | None = None
    """value of the column -> index of the choice, from 0; without it, the value is the index"""
    among: str | None = None
    """column with the list of names (A, B, ...) of which the answer is one"""
    index: int | None = None
    """index of the right choice, if always the same"""

    @model_validator(mode="after")
    def _one_way(self) -> "Answer":
        if (self.column is None) == (self.index is None):
            raise ValueError("give either `column` or `index`")
        if self.values is not None and self.among is not None:
            raise ValueError("give `values` or `among`, not both")
        return self


class MappedField(Strict):
    """A template field whose text depends on the value of a column."""

    column: str
    """column whose value decides"""
    values: dict[bool | int | str, str]
    """value of the column -> text"""


class PickedField(Strict):
    """A template field whose text is in one of several columns; another column says which."""

    column: str
    """column that says which"""
    columns: dict[bool | int | str, str]
    """value of ``column`` -> the column to use"""


class TransformedField(Strict):
    """A template field whose text is computed from one or several columns."""

    column: str | Annotated[list[str], Field(min_length=1)]
    """column, or several for a transform of several texts"""
    transform: Transform
    """name of a function of scripts/ptft/data/mapping.py"""


def _source_kind(value: object) -> str:
    """Which of the ways to fill a field is meant, so that a mistake in it is explained by it."""
    if not isinstance(value, Mapping):
        return type(value).__name__ if isinstance(value, Strict) else "Column"
    if "transform" in value:
        return "TransformedField"
    return "PickedField" if "columns" in value else "MappedField"


FieldSource = Annotated[
    Annotated[str, Tag("Column")]
    | Annotated[MappedField, Tag("MappedField")]
    | Annotated[PickedField, Tag("PickedField")]
    | Annotated[TransformedField, Tag("TransformedField")],
    Discriminator(_source_kind),
]


def check_texts(loc: tuple, transform: str, found: int) -> None:
    """Refuse a transform that takes another number of texts."""
    wanted = len(signature(TRANSFORMS[transform]).parameters)
    if found != wanted:
        raise PlacedError(loc, f"transform {transform!r} takes {wanted} texts, found {found}")
