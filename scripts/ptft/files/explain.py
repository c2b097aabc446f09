"""From a validation error to sentences for people: file, line, key, found, expected, way out."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ptft.files.errors import StudyError, child, locate, suggest, trees
from ptft.files.types import NAME, PART, REPOSITORY

# pydantic's kind of mistake -> what it wanted.
WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
_LETTERS = "a name holds letters, digits, '_', '-'"
PATTERNS = {
    NAME: f"{_LETTERS} and '.', and begins with a letter or digit",
    PART: f"{_LETTERS}, no '.', and begins with a letter or digit",
    REPOSITORY: "expected OWNER/NAME, as on the Hub",
}

Checked = TypeVar("Checked", bound=BaseModel)


def checked(schema: type[Checked], content: object, files: Sequence[Path]) -> Checked:
    """What these files say, of its type.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise explain(error, schema, files) from None


def explain(
    error: ValidationError,
    schema: Any,
    files: Sequence[Path],
    prefix: tuple = (),
    at: tuple | None = None,
) -> StudyError:
    """One message that names, for every mistake, its file and line, key, value and way out.

    Args:
        error: what pydantic found.
        schema: the type that was being filled.
        files: the YAML files whose merged content was read; the last one that has a key is named.
        prefix: where in the files the checked value is, if it is not the whole.
        at: where all mistakes are, if the checked value was put together from several places.
    """
    tree = TypeAdapter(schema).json_schema(by_alias=True)
    lines = []
    # A key in the wrong place explains the one that is missing in the right place.
    for mistake in sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden"):
        inner = getattr(mistake.get("ctx", {}).get("error"), "loc", ())
        loc = at or _without_tags(prefix + mistake["loc"] + inner, files)
        lines.append(f"{locate(loc, files)}: {_sentence(mistake, loc, tree, len(prefix))}")
    return StudyError("\n".join(dict.fromkeys(lines)))


def _sentence(mistake: ErrorDetails, loc: tuple, tree: dict, outside: int) -> str:
    """What is wrong with the value at a place, of which ``outside`` parts are not in the tree."""
    key = ".".join(map(str, loc)) or "the file"
    kind, value, details = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        if homes := _homes(tree, loc[-1]):
            return f"unknown key {key!r}; it belongs under {' or '.join(homes)}"
        allowed = _allowed_keys(tree, loc[outside:-1])
        if loc[-1] in allowed:
            return f"{key!r} does not go with the keys beside it"
        return f"unknown key {key!r}; {suggest(loc[-1], allowed)}"
    if kind == "missing":
        return f"key {key!r} is missing"
    if kind.startswith("union_tag"):
        tag = details["discriminator"].strip("'")
        if kind == "union_tag_not_found":
            return f"key '{key}.{tag}' is missing"
        expected = details["expected_tags"].replace("'", "")
        return f"{key}.{tag} = {value[tag]!r}: expected one of {expected}"
    if value is None:
        return f"{key} is empty; give it a value, or indent the lines below it if they belong to it"
    if kind == "value_error":
        return f"{key}: {details['error']}"
    if kind == "string_pattern_mismatch":
        return f"{key} = {value!r}: {PATTERNS.get(details['pattern'], details['pattern'])}"
    return f"{key} = {_shown(value)}: expected {_expected(mistake)}"


def _expected(mistake: ErrorDetails) -> str:
    """What was expected of a value, and how to write it."""
    kind, value, details = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind in WANTED:
        return f"{WANTED[kind]}, found {_kind(value)}{_way_out(kind, value)}"
    if kind in ("too_short", "too_long"):
        bound = details.get("min_length", details.get("max_length"))
        return f"{bound} or {'more' if kind == 'too_short' else 'fewer'} entries"
    if kind == "greater_than_equal":
        return f"{details['ge']} or more"
    if kind == "less_than_equal":
        return f"{details['le']} or less"
    return mistake["msg"].replace("Input should be ", "").rstrip(".")


def _way_out(kind: str, value: object) -> str:
    """How a value of the wrong type would be written, where that can be told."""
    # YAML 1.1 reads 1e-5 as text: a number needs a dot before the exponent.
    if kind.startswith("float") and re.fullmatch(r"[+-]?\d+[eE][+-]?\d+", str(value)):
        mantissa, exponent = re.split("[eE]", str(value))
        return f": YAML reads {value} without a dot as a string; write {mantissa}.0e{exponent}"
    if kind == "list_type" and not isinstance(value, dict):
        return f"; write [{value}]"
    if kind == "string_type" and isinstance(value, bool):
        return ": YAML reads yes, no, on and off so; write it in quotes"
    if kind == "string_type" and not isinstance(value, list):
        return "; if it is meant as text, write it in quotes"
    return ""


def _kind(value: object) -> str:
    """What YAML has read, in words."""
    kinds = {bool: "true or false", str: "text", list: "a list", dict: "keys and values"}
    return kinds.get(type(value), "a number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _allowed_keys(tree: dict, loc: tuple) -> list[str]:
    """Keys that the schema knows at a place."""
    nodes = [tree]
    for part in loc:
        nodes = [child for node in _resolved(tree, nodes) for child in _children(node, part)]
    return sorted({key for node in _resolved(tree, nodes) for key in node.get("properties", {})})


def _homes(tree: dict, name: str) -> list[str]:
    """Places at which the schema has a key of a name, below its top."""

    def search(node: dict, place: tuple) -> Iterator[tuple]:
        for part in _resolved(tree, [node]):
            for key, inner in part.get("properties", {}).items():
                if key == name and place:
                    yield place
                yield from search(inner, (*place, key))

    return [".".join(place) for place in dict.fromkeys(search(tree, ()))]


def _resolved(tree: dict, nodes: list[dict]) -> list[dict]:
    """Follow references and alternatives to the schemas that can hold keys."""
    out = []
    for node in nodes:
        if "$ref" in node:
            out += _resolved(tree, [tree["$defs"][node["$ref"].rsplit("/", 1)[1]]])
        elif alternatives := node.get("anyOf") or node.get("oneOf") or node.get("allOf"):
            out += _resolved(tree, alternatives)
        else:
            out.append(node)
    return out


def _children(node: dict, part: object) -> list[dict]:
    found = [node.get("properties", {}).get(part), node.get("additionalProperties")]
    found += [node.get("items")] if isinstance(part, int) else []
    found += list(node.get("patternProperties", {}).values())
    return [child for child in found if isinstance(child, dict)]


def _without_tags(loc: tuple, files: Sequence[Path]) -> tuple:
    """Drop what pydantic adds to a place: the tags of unions, which stand in no file."""
    best: list = []
    places = trees(files)
    for _, tree in places:
        kept, node = [], tree
        for position, part in enumerate(loc):
            found = child(node, part)
            if found:
                kept.append(part)
                node = found[1]
            elif position == len(loc) - 1 and not _is_tag(part):
                kept.append(part)
        best = max(best, kept, key=len)
    return tuple(best) if len(best) > 1 or len(loc) <= 1 or len(places) == 1 else loc


def _is_tag(part: object) -> bool:
    return isinstance(part, str) and not re.fullmatch(r"[a-z0-9_.-]+", part)
