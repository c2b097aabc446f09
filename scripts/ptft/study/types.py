"""The parts that all of a study's types are made of: names, counts, and strictness.

Settings that other rooms declare as plain dataclasses (training must run where pydantic is not
installed) are read strictly, too: pydantic takes a dataclass's instances only, never a mapping, so
each gets a twin that reads a mapping and passes the dataclass's own range checks.
"""

import ast
import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, Union, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema

from ptft.errors import NAME, PART, REPOSITORY, PlacedError, suggest

Settings = TypeVar("Settings")


def _once(values: list) -> list:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise PlacedError((position,), f"{value!r} is in the list twice; remove one")
    return values


Name = Annotated[str, Field(pattern=NAME)]
Part = Annotated[str, Field(pattern=PART)]
Repository = Annotated[str, Field(pattern=REPOSITORY)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
# Of lists: nothing in it stands twice.
ONCE = (AfterValidator(_once), Field(json_schema_extra={"uniqueItems": True}))
Shots = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), *ONCE]


class Described(BaseModel):
    """Unknown keys and values of the wrong type are errors; docstrings describe the fields.

    They are looked up when a schema is written. pydantic's own way to do so reads the source
    whenever a type is made: a second in each start of Snakemake.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    described_by: ClassVar[type | None] = None
    """the class that holds the docstrings, if it is another"""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        known = {field.alias or name for name, field in cls.model_fields.items()}
        for key in value if isinstance(value, Mapping) else ():
            if key not in known:
                raise PlacedError((key,), f"unknown key {key!r}; {suggest(key, sorted(known))}")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict:
        tree = handler(core)
        found = handler.resolve_ref_schema(tree).get("properties", {})
        about = field_docstrings(cls.described_by or cls)
        for name, field in cls.model_fields.items():
            for key in {name, field.alias or name} & found.keys():
                if name in about:
                    found[key].setdefault("description", about[name])
        return tree


class Strict(Described):
    """A part of a study, whose values do not change."""

    model_config = ConfigDict(frozen=True)


def field_docstrings(fields: type) -> dict[str, str]:
    """Field -> the docstring under it, of a class and those it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(fields.__mro__):
        found |= _own_docstrings(base)
    return found


@functools.cache  # each mistake is told by the whole schema, whose classes share their bases
def _own_docstrings(fields: type) -> dict[str, str]:
    """Field -> the docstring under it, of this class alone."""
    try:
        source = inspect.getsource(fields)
    except (OSError, TypeError):  # made while the program runs, or not in Python
        return {}
    tree = ast.parse(textwrap.dedent(source)).body[0]
    found = {}
    for field, text in pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(about))):
                found[name] = inspect.cleandoc(about)
    return found


@functools.cache  # a study asks for each of its tasks' settings, and every job reads the study
def strict_settings(settings: type) -> Any:
    """Type of a field that is written as a mapping and read as an instance of ``settings``.

    Args:
        settings: a dataclass whose ``__post_init__`` raises ValueError on a bad value.
    """
    hints = get_type_hints(settings, include_extras=True)
    fields: dict[str, Any] = {
        field.name: (_strict(hints[field.name]), _default(field))
        for field in dataclasses.fields(settings)
    }
    twin = create_model(settings.__name__, __base__=Described, __doc__=settings.__doc__, **fields)
    twin.described_by = settings
    return Annotated[
        twin,
        AfterValidator(lambda value: settings(**_values(value))),
        PlainSerializer(dataclasses.asdict),
    ]


if TYPE_CHECKING:
    StrictSettings = Annotated[Settings, "read by its strict twin"]
else:

    class StrictSettings:
        """``StrictSettings[X]``: a field that holds an ``X`` and is read as ``strict_settings``."""

        def __class_getitem__(cls, settings: type) -> Any:
            return strict_settings(settings)


def _strict(hint: Any) -> Any:
    """A type of which settings inside of settings are read strictly as well."""
    if isinstance(hint, UnionType):
        return Union[tuple(map(_strict, get_args(hint)))]  # noqa: UP007
    nested = isinstance(hint, type) and dataclasses.is_dataclass(hint)
    return strict_settings(hint) if nested else hint


def _default(field: dataclasses.Field) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return Field(default_factory=field.default_factory)
    return ... if field.default is dataclasses.MISSING else field.default


def _values(value: BaseModel) -> dict:
    return {name: getattr(value, name) for name in type(value).model_fields}
