"""What all of a study's types are made of: names, counts, and strictness."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ptft.study.errors import PlacedError


def _once(values: list) -> list:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise PlacedError((position,), f"{value!r} stands twice in the list; remove one")
    return values


# Names become parts of paths and of command lines, so they hold nothing that a shell reads.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
# Names that appear as one part of an arm (method.task.seed) or of a cell's file name.
PART = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME)]
Part = Annotated[str, Field(pattern=PART)]
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"
Repository = Annotated[str, Field(pattern=REPOSITORY)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
# Of lists: nothing in it stands twice.
ONCE = (AfterValidator(_once), Field(json_schema_extra={"uniqueItems": True}))
Shots = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), *ONCE]


class Strict(BaseModel):
    """Unknown keys and values of the wrong type are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )
