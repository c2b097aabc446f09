"""Errors in the files of a study, and the places in them: file, line, key."""

import contextlib
import difflib
import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

Found = TypeVar("Found")
COMMAND_LINE = "--config"
"""Where a value is from that is in no file, as it is typed."""
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, eight times as fast, where PyYAML was built with it"""


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


class StudyFiles(tuple[Path, ...]):
    """The files of a study, and Snakemake's ``config``: their content and that of ``--config``."""

    config: Mapping

    def __new__(cls, files: Iterable[Path], config: Mapping) -> "StudyFiles":
        """As a tuple of the files; ``config`` is read when a place is looked for."""
        new = super().__new__(cls, files)
        new.config = config
        return new


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
    """file:line of a place, or of the deepest part of it that is written down.

    ``--config`` where it gives the place, or another value than the files.
    """
    best: tuple[int, str] | None = None
    for path, tree in trees(files):
        depth, line, node = 0, 1, tree
        for part in loc:
            found = child(node, part)
            if not found:
                break
            depth, line, node = depth + 1, found[0].start_mark.line + 1, found[1]
        if path == COMMAND_LINE:
            if depth == len(loc):
                return COMMAND_LINE
        elif best is None or depth > best[0]:
            best = (depth, f"{path}:{line}")
    return best[1] if best else "study"


def refusal(files: Sequence[Path], loc: tuple, message: str) -> StudyError:
    """What to raise of a key of these files: its place, the key, what is wrong."""
    return StudyError(f"{locate(loc, files)}: {'.'.join(map(str, loc))}: {message}")


def trees(files: Sequence[Path]) -> list[tuple[Path | str, yaml.Node | None]]:
    """The YAML node tree of each file, the last first: a later file overrides an earlier one.

    Before them, under ``COMMAND_LINE``, what it gave if it gave anything.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in reversed(files) if path.is_file()}
    found: list[tuple[Path | str, yaml.Node | None]] = []
    found += [(path, yaml.compose(text, FAST_LOADER)) for path, text in texts.items()]
    if isinstance(files, StudyFiles):
        given = _beyond(files.config, [yaml.load(text, FAST_LOADER) for text in texts.values()])
        if given:
            given_node = yaml.compose(json.dumps(given, default=str), FAST_LOADER)
            found.insert(0, (COMMAND_LINE, given_node))
    return found


def _beyond(config: Mapping, contents: Sequence[Mapping | None]) -> dict:
    """What a config holds that is not in the contents of its files, of which the first counts."""
    given = {}
    for key, value in config.items():
        written = [content[key] for content in contents if content and key in content]
        if isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in written):
            below = _beyond(value, written)
            if below or not written:
                given[key] = below
        # Snakemake leaves a date the text that it is.
        elif not written or value != written[0] and str(value) != str(written[0]):
            given[key] = value
    return given


def child(node: yaml.Node | None, part: object) -> tuple[yaml.Node, yaml.Node] | None:
    """(key, value) of a mapping's key or (item, item) of a sequence, None where there is none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
