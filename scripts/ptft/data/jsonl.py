"""Prepared examples on disk: JSON objects, one a line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path


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
