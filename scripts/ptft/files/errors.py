"""Errors in the files of a study, and the places in them: file, line, key."""

import contextlib
import difflib
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

Found = TypeVar("Found")


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
    kinds: tuple[type[Exception], ...] = (StudyError, *others)
    try:
        yield
    except kinds as error:
        sys.exit(str(error))


def present(found: Found | None, what: str) -> Found:
    """What a checked study is known to have.

    Raises:
        LookupError: it is missing, so the study was not checked, or the check has a gap.
    """
    if found is None:
        raise LookupError(f"no {what} in a checked study")
    return found


def suggest(name: object, known: Collection[object]) -> str:
    """'did you mean …?' for a misspelt name, else the names that exist."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(map(str, known)) or 'none'}"


def locate(loc: tuple, files: Sequence[Path]) -> str:
    """file:line of a place, or of the deepest part of it that is written down."""
    best: tuple[int, str] | None = None
    for path, tree in trees(files):
        depth, line, node = 0, 1, tree
        for part in loc:
            found = child(node, part)
            if not found:
                break
            depth, line, node = depth + 1, found[0].start_mark.line + 1, found[1]
        if best is None or depth > best[0]:
            best = (depth, f"{path}:{line}")
    return best[1] if best else "study"


def trees(files: Sequence[Path]) -> list[tuple[Path, yaml.Node | None]]:
    """The YAML node tree of each file, the last first: a later file overrides an earlier one."""
    return [
        (path, yaml.compose(path.read_text(encoding="utf-8")))
        for path in reversed(files)
        if path.is_file()
    ]


def child(node: yaml.Node | None, part: object) -> tuple[yaml.Node, yaml.Node] | None:
    """(key, value) of a mapping's key or (item, item) of a sequence, None where there is none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
