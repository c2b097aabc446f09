"""From a validation error to a message for people: file, line, key, found, expected, way out."""

import contextlib
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError


class StudyError(ValueError):
    """Something in a study's files is wrong; the message says where and what to do."""


class PlacedError(ValueError):
    """A value that does not fit another one; raised by validators of what holds both.

    Args:
        loc: keys that lead from the validated value to the wrong one.
        message: what was found, what was expected.
    """

    def __init__(self, loc: tuple, message: str):
        super().__init__(message)
        self.loc = loc


@contextlib.contextmanager
def printed_alone(*others: type[Exception]) -> Iterator[None]:
    """End the process with the message of a StudyError, or of an error of another kind, alone.

    Of an exception in a Snakefile Snakemake prints its own place and its traceback as well.
    """
    try:
        yield
    except (StudyError, *others) as error:
        sys.exit(str(error))


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
    # A key in the wrong place explains the one that is missing in the right place.
    for mistake in sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden"):
        inner = getattr(mistake.get("ctx", {}).get("error"), "loc", ())
        loc = _without_tags(prefix + mistake["loc"] + inner, files)
        lines.append(f"{locate(loc, files)}: {_sentence(mistake, loc, tree, len(prefix))}")
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


def _sentence(mistake: dict, loc: tuple, tree: dict, outside: int) -> str:
    """What is wrong with the value at a place, of which ``outside`` parts are not in the tree."""
    key = ".".join(map(str, loc)) or "the file"
    kind, value = mistake["type"], mistake["input"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        if homes := _homes(tree, loc[-1]):
            return f"unknown key {key!r}; it belongs under {' or '.join(homes)}"
        return f"unknown key {key!r}; {suggest(loc[-1], _allowed_keys(tree, loc[outside:-1]))}"
    if kind == "missing":
        return f"key {key!r} is missing"
    if value is None:
        return f"{key} is empty; give it a value, or indent the lines below it if they belong to it"
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


def _homes(tree: dict, name: str) -> list[str]:
    """Places at which the schema has a key of a name, below its top."""

    def search(node: dict, place: tuple) -> Iterator[tuple]:
        for part in _resolved(tree, [node]):
            for key, child in part.get("properties", {}).items():
                if key == name and place:
                    yield place
                yield from search(child, (*place, key))

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
