"""Strict types of the settings that other modules declare as plain dataclasses.

Training must run where pydantic is not installed, so its settings are dataclasses. In strict
mode pydantic takes a dataclass's instances only, never a mapping; here each dataclass gets a
twin that reads a mapping strictly and passes the dataclass's own range checks.
"""

import dataclasses
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, Field, PlainSerializer, create_model

from ptft.study.types import Described
from ptft.training.settings import plain_settings

Settings = TypeVar("Settings")


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
        PlainSerializer(plain_settings),
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
