"""Reading YAML files: a mistake of the notation is said with its file, its line and the way out."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ptft.files.errors import FAST_LOADER, StudyError

# What PyYAML says of a mistake -> what is said instead.
_INDENT = "indent it by spaces, as its neighbours are"
_QUOTE = "put the text in quotes"
_SENTENCES = {
    "'\\t' that cannot start": "a tab, where YAML takes spaces alone; " + _INDENT,
    "that cannot start any token": "a sign that no value begins with; " + _QUOTE,
    "mapping values are not allowed": "a ':' where no key can be; " + _INDENT + ", or " + _QUOTE,
    "found '<block mapping start>'": "an indentation of its own; " + _INDENT,
    "expected <block end>": "text after the end of a value; " + _QUOTE,
    "could not find expected ':'": "no ': '; write `key: value`, with a space after the colon",
    "expected ',' or": "a bracket that is not closed; close it",
    "unexpected end of stream": "a quotation mark that is not closed; close it",
    "unknown escape character": "a backslash in double quotes; use single quotes",
    "another document": "a second document; remove the line",
}
# Of these PyYAML names the place where it gave up; they begin elsewhere.
_BEGIN_EARLIER = ("could not find expected ':'", "expected ',' or", "unexpected end of stream")


def read_mapping(path: Path, strict: bool = False) -> dict:
    """The content of a YAML file of keys and values; that of an empty file is empty.

    Args:
        strict: accept only what Snakemake's own loader does, which takes a tab for no space.

    Raises:
        StudyError: the file is no YAML, holds something else, or names a key twice. YAML itself
            would take the last of two equal keys without a word.
    """
    text = _text(path)
    try:
        if not strict:
            with contextlib.suppress(yaml.YAMLError):
                return _mapping(FAST_LOADER(text), path)
        # What is wrong is told by this one, whose words are known.
        return _mapping(yaml.SafeLoader(text), path)
    except yaml.YAMLError as error:
        raise StudyError(_sentence(error, path, text)) from None


def require_readable(files: Sequence[Path]) -> None:
    """Refuse files that no study can be read from. The default profile calls this first of all.

    Raises:
        StudyError: a file is not there, is empty, or is no YAML of keys and values.
    """
    for path in files:
        if not path.is_file():
            raise StudyError(
                f"--configfile: {path} is not a file in {Path.cwd()}; note that every word after "
                "the option is read as a file: a target goes before it"
            )
        if not read_mapping(path, strict=True):
            raise StudyError(f"{path}: found nothing; expected a study, as in config/pocket.yaml")


def refuse_twins(files: Sequence[Path]) -> None:
    """Refuse a key that occurs twice in a file that Snakemake has read.

    Raises:
        StudyError: as :func:`read_mapping`.
    """
    for path in files:
        if path.is_file():
            read_mapping(path, strict=True)


def _mapping(loader: Any, path: Path) -> dict:
    node = loader.get_single_node()
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise StudyError(f"{path}:1: found no keys; expected lines of the form `key: value`")
    for key, first, line in _twins(node):
        raise StudyError(
            f"{path}:{line}: the key {key!r} is already in line {first}; remove one of them"
        )
    return loader.construct_document(node)


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StudyError(
            f"{path}:{line}: found a character that is not UTF-8; save the file as UTF-8"
        ) from None


def _twins(node: yaml.Node) -> Iterator[tuple[str, int, int]]:
    """(key, line of the first, line of the second) of keys that a mapping names twice."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twins(item)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    yield key.value, lines[key.value], line
                lines[key.value] = line
            yield from _twins(value)


def _sentence(error: yaml.YAMLError, path: Path, text: str) -> str:
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"{path}: found what is no YAML: {problem}"
    earlier = any(words in problem for words in _BEGIN_EARLIER)
    mark = (error.context_mark if earlier else error.problem_mark) or error.context_mark
    said = next((said for words, said in _SENTENCES.items() if words in problem), problem)
    at = mark.line if mark else 0
    line = text.splitlines()[at : at + 1]
    return f"{path}:{at + 1}: found {''.join(line).strip()!r}: {said}"
