"""Every key of a study as a table in Markdown, read off the JSON schema of the types."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import yaml
from pydantic import BaseModel

from ptft.training.methods import METHODS

BEGIN, END = "<!-- keys: `make schemas` writes them -->\n", "<!-- end of keys -->\n"


class Key(NamedTuple):
    """A row of the table."""

    name: str
    type: str
    default: str
    about: str


def with_table(text: str, schema: type[BaseModel]) -> str:
    """A text whose part between ``BEGIN`` and ``END`` is the table.

    Raises:
        ValueError: the text lacks one of the two.
    """
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise ValueError(f"expected the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{key_table(schema)}\n{END}{after}"


def key_table(schema: type[BaseModel]) -> str:
    """Keys with type, default and description; those that all methods share appear once."""
    tree = schema.model_json_schema(by_alias=True)
    rows = _shared_by_methods(list(_keys(tree, tree, "", {})))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(["| key | type | default | what |", "|---|---|---|---|", *lines]) + "\n"


def _keys(tree: Mapping, part: Mapping, place: str, defaults: Mapping) -> Iterator[Key]:
    """Keys of one mapping of the schema ``tree``, and of the mappings in it.

    Args:
        place: what comes before the keys.
        defaults: of the keys whose own schema gives none.
    """
    for name, found in part["properties"].items():
        key, about = f"{place}{name}", found["description"].replace("\n", " ").replace("``", "`")
        default = found.get("default", defaults.get(name))
        inner = [option["$ref"] for option in _options(found) if "$ref" in option]
        if not inner:
            required = name in part.get("required", ())
            yield Key(f"`{key}`", _type(found), _default(default, required), about)
        for reference in inner:
            yield Key(f"`{key}`", "mapping", "", about)
            below = tree["$defs"][reference.split("/")[-1]]
            yield from _keys(tree, below, f"{key}.", default or {})


def _options(found: Mapping) -> list[Mapping]:
    """The alternatives of a value that is not null."""
    return [option for option in found.get("anyOf", [found]) if option.get("type") != "null"]


def _type(found: Mapping) -> str:
    """Type of a value, in words."""
    return " or ".join(map(_single_type, _options(found)))


def _single_type(found: Mapping) -> str:
    if not found:
        return "value"
    if "enum" in found:
        return " or ".join(f"`{value}`" for value in found["enum"])
    kind = found.get("type", "object")
    if kind == "array":
        return f"list: {_type(found['items'])}"
    if kind == "object":
        values = [*found.get("patternProperties", {}).values(), found.get("additionalProperties")]
        return f"name → {_type(values[0])}" if isinstance(values[0], Mapping) else "mapping"
    name = {"boolean": "true or false", "string": "text"}.get(kind, kind)
    name = "name" if "pattern" in found else name
    return f"{name}, {found['minimum']} or more" if "minimum" in found else name


def _default(value: object, required: bool) -> str:
    """A default as YAML reads it (which takes 2e-06 for a text)."""
    if required:
        return "**required**"
    if value is None or value == "":
        return "–"
    return f"`{yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}`"


def _shared_by_methods(keys: list[Key]) -> list[Key]:
    """Put keys that are the same under every method into one row, behind the methods' own."""
    place = re.compile(rf"finetune\.({'|'.join(METHODS)})\.")
    general = [key._replace(name=place.sub("finetune.METHOD.", key.name)) for key in keys]
    count = Counter(general)
    own = [key for key, same in zip(keys, general, strict=True) if count[same] < len(METHODS)]
    shared = [key for key, times in count.items() if times == len(METHODS)]
    last = max(i for i, key in enumerate(own) if key.name.startswith("`finetune"))
    return [*own[: last + 1], *shared, *own[last + 1 :]]
