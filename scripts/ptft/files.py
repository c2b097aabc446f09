"""Files that jobs are given and leave: slices of a study, prepared examples, whole tables.

A slice is what a job is given of a study, in a file that its program reads. The file is named by a
hash of its content, and its path is a parameter of its rule: so the parameter changes, and the job
runs again, exactly when the content does, and two slices can be compared with `diff`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ptft.errors import StudyError, explain
from ptft.paths import replacing

if TYPE_CHECKING:
    import polars as pl


Slice = TypeVar("Slice")
_PYDANTIC_CONFIG = "__pydantic_config__"


class Slices:
    """The slices of the jobs that Snakemake plans, gathered while it does so, then written.

    Args:
        folder: gets a folder for each rule.
        at_once: write each slice as it is asked for (in a job on another machine, where the files
            that the main process wrote may not be).
    """

    def __init__(self, folder: str, at_once: bool = False) -> None:
        self._folder, self._at_once = folder, at_once
        self._files: dict[tuple, str] = {}
        self._texts: dict[str, str] = {}

    def file(self, rule: str, content: Callable[..., Any], *values: Any) -> str:
        """Path of a job's slice.

        Args:
            rule: whose slice it is.
            content: gives plain data; called once for each set of values.
            values: handed to ``content``: the study, values of the job's wildcards.
        """
        key = (rule, content, *values)
        if key not in self._files:
            text = as_file(content(*values))
            name = hashlib.sha256(text.encode()).hexdigest()[:16]
            self._files[key] = path = f"{self._folder}/{rule}/{name}.json"
            self._texts[path] = text
            if self._at_once:
                self.write()
        return self._files[key]

    def write(self) -> None:
        """Write every slice that was asked for and is not there."""
        for name, text in self._texts.items():
            if not Path(name).exists():
                with replacing(Path(name)) as draft:
                    draft.write_text(text, encoding="utf-8")


def closed(kind: type[Slice]) -> type[Slice]:
    """Let a TypedDict refuse keys that it does not name, without importing pydantic."""
    setattr(kind, _PYDANTIC_CONFIG, {"extra": "forbid"})
    return kind


def as_file(content: Any) -> str:
    """Plain data as the text of a slice; sorted: the order of keys must not cause reruns."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def as_read(content: Any) -> Any:
    """Plain data as a program reads it from its slice."""
    return json.loads(as_file(content))


def read_slice(path: Path, schema: Any) -> Any:
    """Read a slice as what its program wants: a dataclass, a TypedDict, any type of pydantic's.

    Raises:
        StudyError: there is no such file, or its content is not of the type; the message names
            file, line and key, what was found and what was expected.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}") from None
    return _checked(path, schema, (), content)


def check_slice(path: Path, schema: Any, place: tuple[str, ...], content: Any) -> Any:
    """Read a part of a slice, whose type follows from another part.

    Args:
        place: keys that lead to the part in the file.
        content: the part, as :func:`read_slice` gave it.

    Raises:
        StudyError: as :func:`read_slice`.
    """
    return _checked(path, schema, place, json.dumps(content))


def _checked(path: Path, schema: Any, place: tuple[str, ...], content: str | bytes) -> Any:
    try:
        return TypeAdapter(schema).validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise StudyError(f"{path}: not JSON: {first['ctx']['error']}") from None
        raise explain(error, [path], place) from None


def write_frame(frame: pl.DataFrame, file: Path, notes: dict[str, str]) -> None:
    """Write a Parquet file, notes in its metadata, by a rename: it is whole or absent."""
    with replacing(file) as draft:
        frame.write_parquet(draft, metadata=notes)


# Prepared examples: JSON objects, one a line ------------------------------------------------------


def write_examples(examples: Iterable[Mapping], file: Path) -> None:
    """Write examples, one a line."""
    with file.open("w", encoding="utf-8") as lines:
        for example in examples:
            lines.write(json.dumps(example, ensure_ascii=False) + "\n")


def read_examples(file: Path, most: int | None = None) -> Iterator[dict]:
    """Examples of a file one at a time, the first ``most`` of them.

    Raises:
        ValueError: a line is no JSON object.
    """
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(islice(lines, most), start=1):
            try:
                example = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{file}:{number}: no JSON: {error}") from None
            if not isinstance(example, dict):
                raise ValueError(f"{file}:{number}: found {line[:80]!r}, expected a JSON object")
            yield example


def read_all(file: Path) -> list[dict]:
    """All examples of a file.

    Raises:
        ValueError: there is none, or a line is no JSON object.
    """
    examples = list(read_examples(file))
    if not examples:
        raise ValueError(f"{file} holds no examples")
    return examples


def count_examples(file: Path) -> int:
    """Number of examples that ``read_examples`` gives.

    Raises:
        ValueError: the file holds none.
    """
    with file.open("rb") as lines:
        count = sum(1 for _ in lines)
    if not count:
        raise ValueError(f"{file} holds no examples")
    return count
