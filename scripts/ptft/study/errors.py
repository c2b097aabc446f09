"""From a validation error to a message for people: file, line, key, found, expected, way out."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError


class StudyError(ValueError):
    """Something in a study's files is wrong; the message says where and what to do."""


def explain(
    error: ValidationError, schema: object, files: Sequence[Path], prefix: tuple = ()
) -> StudyError:
    """One message that names, for every mistake, its file and line, key, value and way out.

    Args:
        error: what pydantic found.
        schema: the type that was being filled.
        files: the YAML files whose merged content was read; the last one that has a key is named.
        prefix: where in the files the checked value stands, if it is not the whole.
    """
    tree = TypeAdapter(schema).json_schema(by_alias=True)
    lines = []
    for mistake in error.errors():
        loc = _without_tags(prefix + mistake["loc"], files)
        allowed = _allowed_keys(tree, loc[len(prefix) : -1])
        lines.append(f"{locate(loc, files)}: {_sentence(mistake, loc, allowed)}")
    return StudyError("\n".join(dict.fromkeys(lines)))


def suggest(name: str, known: Sequence[str]) -> str:
    """'did you mean …?' for a misspelt name, else the names that exist."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(map(str, known)) or 'none'}"


def locate(loc: tuple, files: Sequence[Path]) -> str:
    """file:line of a place, or of the deepest part of it that is written down."""
    best: tuple[int, str] | None = None
    for path, tree in _trees(files):
        depth, line, node = 0, 1, tree
        for part in loc:
            found = _child(node, part)
            if not found:
                break
            depth, line, node = depth + 1, found[0].start_mark.line + 1, found[1]
        if best is None or depth > best[0]:
            best = (depth, f"{path}:{line}")
    return best[1] if best else "study"


def _sentence(mistake: dict, loc: tuple, allowed: list[str]) -> str:
    key = ".".join(map(str, loc)) or "the file"
    kind, value = mistake["type"], mistake["input"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {key!r}; {suggest(loc[-1], allowed)}"
    if kind == "missing":
        return f"key {key!r} is missing"
    if kind in ("float_type", "int_type", "float_parsing", "int_parsing"):
        expected = "a number" if kind.startswith("float") else "a whole number"
        return f"{key} = {value!r}: expected {expected}{_exponent_hint(value)}"
    if kind == "value_error":
        return f"{key}: {mistake['ctx']['error']}"
    if kind == "string_pattern_mismatch":
        return (
            f"{key} = {value!r}: a name may hold letters, digits, '_', '-' and (in some places) "
            f"'.', and begins with a letter or digit (pattern {mistake['ctx']['pattern']})"
        )
    message = mistake["msg"].replace("Input should be", "expected").rstrip(".")
    return f"{key} = {value!r}: {message}"


def _exponent_hint(value: object) -> str:
    """YAML 1.1 reads 1e-5 as text: a number needs a dot before the exponent."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+[eE][+-]?\d+", value):
        mantissa, exponent = re.split("[eE]", value)
        return (
            f", found text: YAML reads {value} without a dot as a string; "
            f"write {mantissa}.0e{exponent}"
        )
    return f", found {type(value).__name__}"


def _allowed_keys(tree: dict, loc: tuple) -> list[str]:
    """Keys that the schema knows at a place."""
    nodes = [tree]
    for part in loc:
        nodes = [child for node in _resolved(tree, nodes) for child in _children(node, part)]
    return sorted({key for node in _resolved(tree, nodes) for key in node.get("properties", {})})


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


def _trees(files: Sequence[Path]) -> list[tuple[Path, yaml.Node | None]]:
    """The YAML node tree of each file, the last first: a later file overrides an earlier one."""
    return [(path, yaml.compose(path.read_text())) for path in reversed(files) if path.is_file()]


def _child(node: yaml.Node | None, part: object) -> tuple[yaml.Node, yaml.Node] | None:
    """(key, value) of a mapping's key or (item, item) of a sequence, None where there is none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _without_tags(loc: tuple, files: Sequence[Path]) -> tuple:
    """Drop what pydantic adds to a place: the tags of unions, which stand in no file."""
    for _, tree in _trees(files):
        kept, node = [], tree
        for position, part in enumerate(loc):
            found = _child(node, part)
            if found:
                kept.append(part)
                node = found[1]
            elif position == len(loc) - 1 and not _is_tag(part):
                kept.append(part)
        if len(kept) > 1 or len(loc) <= 1 or len(files) == 1:
            return tuple(kept)
    return loc


def _is_tag(part: object) -> bool:
    return isinstance(part, str) and not re.fullmatch(r"[a-z0-9_.-]+", part)
