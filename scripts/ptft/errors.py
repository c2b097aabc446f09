"""Errors in files that people write, told by file, line and key, with the way out.

Three parts: errors and the places in files; reading YAML; from pydantic's errors to sentences.
"""

import contextlib
import difflib
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# Names become parts of paths and of command lines, so they hold nothing that a shell reads.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
# Names that appear as one part of an arm (method.task.seed) or of a cell's file name.
PART = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"
SUBFOLDER = r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$"
GPU_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.]*$"
Found = TypeVar("Found")
COMMAND_LINE = "--config"
"""Where a value is from that is in no file, as it is typed."""
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, eight times as fast, where PyYAML was built with it"""

MOST_NAMES = 40
"""that a message lists; the harness alone knows thousands"""


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


class ConfigFiles(tuple[Path, ...]):
    """The files of a study, and Snakemake's ``config``: their content and that of ``--config``."""

    config: Mapping

    def __new__(cls, files: Iterable[Path], config: Mapping) -> "ConfigFiles":
        """As a tuple of the files; ``config`` is read when a place is looked for."""
        new = super().__new__(cls, files)
        new.config = config
        return new


@contextlib.contextmanager
def exit_with_message(*others: type[Exception]) -> Iterator[None]:
    """End the process with the message of a StudyError, or of an error of another kind, alone.

    Of an exception in a Snakefile Snakemake prints its own place and its traceback as well.
    """
    kinds: tuple[type[Exception], ...] = (StudyError, *others)
    try:
        yield
    except kinds as error:
        sys.exit(str(error))


def present(found: Found | None, what: str) -> Found:
    """A part that a checked study is known to have.

    Raises:
        LookupError: it is missing, so the study was not checked, or the check has a gap.
    """
    if found is None:
        raise LookupError(f"no {what} in a checked study")
    return found


def suggest(name: object, known: Collection[object]) -> str:
    """'did you mean …?' for a misspelt name, else the names that exist, of many the first."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    listed = [str(k) for k in known][:MOST_NAMES]
    rest = f" and {len(known) - len(listed)} more" if len(known) > len(listed) else ""
    return f"known: {', '.join(listed) or 'none'}{rest}"


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
    """The error to raise about a key of these files: its place, the key, what is wrong."""
    return StudyError(f"{locate(loc, files)}: {'.'.join(map(str, loc))}: {message}")


def require_known(
    files: Sequence[Path], loc: tuple, names: Iterable[str], known: Collection[str]
) -> None:
    """Refuse a name under a key of these files that is none of the known ones."""
    for name in names:
        if name not in known:
            raise refusal(files, loc, f"unknown {name!r}; {suggest(name, list(known))}")


def trees(files: Sequence[Path]) -> list[tuple[Path | str, yaml.Node | None]]:
    """The YAML node tree of each file, the last first: a later file overrides an earlier one.

    Before them, under ``COMMAND_LINE``, what it gave if it gave anything.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in reversed(files) if path.is_file()}
    found: list[tuple[Path | str, yaml.Node | None]] = []
    found += [(path, yaml.compose(text, FAST_LOADER)) for path, text in texts.items()]
    if isinstance(files, ConfigFiles):
        given = _beyond(files.config, [yaml.load(text, FAST_LOADER) for text in texts.values()])
        if given:
            given_node = yaml.compose(json.dumps(given, default=str), FAST_LOADER)
            found.insert(0, (COMMAND_LINE, given_node))
    return found


def _beyond(config: Mapping, contents: Sequence[Mapping | None]) -> dict:
    """The part of a config that is not in the contents of its files, of which the first counts."""
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


# Reading YAML ------------------------------------------------------------------------------------


def read_mapping(path: Path, loader: Any = FAST_LOADER) -> dict:
    """The content of a YAML file of keys and values; that of an empty file is empty.

    Raises:
        StudyError: the file is no YAML, holds something else, or names a key twice. YAML itself
            would take the last of two equal keys without a word.
    """
    text = _text(path)
    try:
        return _mapping(loader(text), path)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark.line if error.problem_mark else 0
        found = "".join(text.splitlines()[at : at + 1]).strip()
        begun = (
            f" {error.context} from line {error.context_mark.line + 1} on"
            if (error.context and error.context_mark)
            else ""
        )
        raise StudyError(f"{path}:{at + 1}: found {found!r}{begun}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: found what is no YAML: {error}") from None


def require_readable(files: Sequence[Path]) -> None:
    """Refuse files that no study can be read from.

    Raises:
        StudyError: a file is not there, is empty, or is no YAML of keys and values.
    """
    for path in files:
        if not path.is_file():
            raise StudyError(
                f"--configfile: {path} is not a file in {Path.cwd()}; note that every word after "
                "the option is read as a file: a target goes before it"
            )
        # By the loader that Snakemake has; the fast one takes a tab for a space.
        if not read_mapping(path, yaml.SafeLoader):
            raise StudyError(f"{path}: found nothing; expected a study, as in config/pocket.yaml")


def require_keys_once(files: Sequence[Path]) -> None:
    """Refuse a key that occurs twice in a file that Snakemake has read.

    Raises:
        StudyError: as :func:`read_mapping`.
    """
    for path in files:
        if path.is_file():
            read_mapping(path)


def _mapping(loader: Any, path: Path) -> dict:
    node = loader.get_single_node()
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise StudyError(f"{path}:1: found no keys; expected lines of the form `key: value`")
    for key, first, line in _keys_twice(node):
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


def _keys_twice(node: yaml.Node) -> Iterator[tuple[str, int, int]]:
    """(key, line of the first, line of the second) of keys that a mapping names twice."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys_twice(item)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    yield key.value, lines[key.value], line
                lines[key.value] = line
            yield from _keys_twice(value)


# From pydantic's errors to sentences -------------------------------------------------------------

_LETTERS = "a name holds letters, digits, '_', '-'"
PATTERNS = {
    NAME: f"{_LETTERS} and '.', and begins with a letter or digit",
    PART: f"{_LETTERS}, no '.', and begins with a letter or digit",
    SUBFOLDER: "expected a folder of the repository, as final or step/100",
    GPU_NAME: "the name of a GPU model holds letters, digits, '_' and '.'",
    REPOSITORY: "expected OWNER/NAME, as on the Hub",
}

Checked = TypeVar("Checked", bound=BaseModel)


def checked(schema: type[Checked], content: object, files: Sequence[Path]) -> Checked:
    """The content of these files, of its type.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise explain(error, files) from None


def explain(
    error: ValidationError, files: Sequence[Path], prefix: tuple = (), at: tuple | None = None
) -> StudyError:
    """One message that names, for every mistake, its file and line, key, value and way out.

    Args:
        error: what pydantic found.
        files: the YAML files whose merged content was read; the last one that has a key is named.
        prefix: where in the files the checked value is, if it is not the whole.
        at: where all mistakes are, if the checked value was put together from several places.
    """
    lines = []
    for mistake in error.errors():
        inner = getattr(mistake.get("ctx", {}).get("error"), "loc", ())
        loc = at or _without_tags(prefix + mistake["loc"] + inner, files)
        lines.append(f"{locate(loc, files)}: {_sentence(mistake, loc)}")
    return StudyError("\n".join(dict.fromkeys(lines)))


def _sentence(mistake: ErrorDetails, loc: tuple) -> str:
    """The mistake in the value at a place."""
    key = ".".join(map(str, loc)) or "the file"
    kind, value, details = mistake["type"], mistake["input"], mistake.get("ctx", {})
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
    expected = mistake["msg"].replace("Input should be", "expected") + _way_out(kind, value)
    return f"{key} = {_shown(value)}: {expected}"


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


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
