"""Slices of a study: what each job is given of it, in a file that its program reads.

The text of a slice is in its rule's `params`, where it decides what runs again; the file
carries it to the program, so that a command stays short. Standard library only: the Snakefile
imports it in every job; pydantic is imported where a file is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ptft.paths import Results

Slice = TypeVar("Slice")
_PYDANTIC_CONFIG = "__pydantic_config__"


class Slices:
    """The slices of a study's jobs, by rule and wildcards."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._contents: dict[str, Callable[[], Any]] = {}
        self._texts = cache(lambda file: as_text(self._contents[file]()))

    def add(self, rule: str, *wildcards: str, content: Callable[[], Any]) -> None:
        """Say what gives a job's slice: plain data, asked for once and only if it is needed."""
        self._contents[self.file(rule, *wildcards)] = content

    def file(self, rule: str, *wildcards: str) -> str:
        """Path of a job's slice."""
        return self._results.slice(rule, *wildcards)

    def text(self, rule: str, *wildcards: str) -> str:
        """A job's slice as one line."""
        return self._texts(self.file(rule, *wildcards))

    def write(self, only_missing: bool = False) -> None:
        """Write every slice that is not on disk as it is now.

        Args:
            only_missing: leave the files that are there (a job beside the main process, where
                these are on another disk).
        """
        for name, content in self._contents.items():
            path = Path(name)
            if not (only_missing and path.exists()):
                _write(path, content())


def closed(kind: type[Slice]) -> type[Slice]:
    """Let a TypedDict refuse keys that it does not name, without importing pydantic."""
    setattr(kind, _PYDANTIC_CONFIG, {"extra": "forbid"})
    return kind


def as_text(content: Any) -> str:
    """Plain data as one line; sorted, because the order of keys must not cause reruns."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def _write(path: Path, content: Any) -> None:
    """Replace a file by a rename, unless it is the same: a job may be reading it."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def read_slice(path: Path, schema: Any) -> Any:
    """Read a slice as what its program wants: a dataclass, a TypedDict, any type of pydantic's.

    Raises:
        StudyError: there is no such file, or its content is not of the type; the message names
            file, line and key, what was found and what was expected.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refusal(f"{path}: {error.strerror}") from None
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
    from pydantic import TypeAdapter, ValidationError

    from ptft.errors import explain

    try:
        return TypeAdapter(schema).validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise _refusal(f"{path}: not JSON: {first['ctx']['error']}") from None
        raise explain(error, schema, [path], place) from None


def _refusal(message: str) -> Exception:
    from ptft.errors import StudyError

    return StudyError(message)
