"""Strict types of the settings that other modules declare as plain dataclasses.

Training must run where pydantic is not installed, so its settings are dataclasses. In strict
mode pydantic takes a dataclass's instances only, never a mapping; here each dataclass gets a
twin that reads a mapping strictly and passes the dataclass's own range checks. What stands as a
docstring under a field becomes its description in the schema, as in pydantic's own types.
"""

import ast
import dataclasses
import inspect
import textwrap
from itertools import pairwise
from typing import Annotated, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, create_model


def strict_settings(settings: type) -> type:
    """Type of a field that is written as a mapping and read as an instance of ``settings``.

    Args:
        settings: a dataclass whose ``__post_init__`` raises ValueError on a bad value.
    """
    hints = get_type_hints(settings, include_extras=True)
    about = field_docstrings(settings)
    twin = create_model(
        settings.__name__,
        __config__=ConfigDict(extra="forbid", strict=True),
        __doc__=settings.__doc__,
        **{
            field.name: (hints[field.name], _described(field, about.get(field.name)))
            for field in dataclasses.fields(settings)
        },
    )
    return Annotated[
        twin,
        AfterValidator(lambda value: settings(**_values(value))),
        PlainSerializer(dataclasses.asdict),
    ]


def field_docstrings(settings: type) -> dict[str, str]:
    """Field -> the docstring under it, of a dataclass and those it inherits from."""
    found = {}
    for base in filter(dataclasses.is_dataclass, reversed(settings.__mro__)):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
        for field, text in pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(about))):
                    found[name] = inspect.cleandoc(about)
    return found


def _described(field: dataclasses.Field, description: str | None) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return Field(default_factory=field.default_factory, description=description)
    default = ... if field.default is dataclasses.MISSING else field.default
    return Field(default, description=description)


def _values(value: BaseModel) -> dict:
    return {name: getattr(value, name) for name in type(value).model_fields}
