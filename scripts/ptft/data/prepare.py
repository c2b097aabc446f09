"""From a dataset's rows to prepared examples: columns to fields, gold answers checked.

A slice of the study (``SplitSlice``) says what to read: the dataset's description, the kind of its
family, its labels, the split, how many examples and the seed of their draw.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ptft.data.mapping import Missing, example_of, used_columns
from ptft.data.rows import (
    DatasetError,
    read_rows,
    row_place,
    source_name,
    split_files,
    split_name,
)
from ptft.files import read_slice, write_examples
from ptft.models.folder import hash_files
from ptft.runtime.contents import Note, looks

FEW = 0.05
"""share of the rows that may be dropped without a warning"""
SHOWN = 5
"""reasons that a warning lists"""


class SplitSlice(TypedDict):
    """All that decides the rows of a prepared split (``ptft.study.slices.split_slice``)."""

    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]

    version: NotRequired[int]
    kind: Literal["classification", "multiple_choice", "generation", "chat", "text"]
    labels: NotRequired[list[str] | None]
    dataset: dict[str, Any]
    split: str
    limit: int | None
    seed: int


class RowError(DatasetError):
    """A row does not fit its dataset's description.

    Args:
        number: of the row among those of the split, from 0 (``ptft.data.rows.row_place``).
        mistake: its column, what was found, what was expected, the way out.
    """

    def __init__(self, number: int, mistake: str):
        super().__init__(mistake)
        self.number = number


def prepare_split(
    root: Path,
    name: str,
    spec: Path,
    output: Path,
    audit: Path,
    seen: Path | None = None,
    told: str = "",
) -> None:
    """Prepare one split of a dataset; write its examples and what was found.

    Args:
        root: folder in the Hub's layout
        name: dataset and split, for example ids
        spec: the study's slice, JSON file
        output: examples, JSON Lines
        audit: what was found, JSON
        seen: note of the files that were read, to write
        told: what the note holds beside them, a parameter of the job
    """
    asked = read_slice(spec, SplitSlice)
    dataset, split = asked["dataset"], asked["split"]
    files = [Path(path) for path in split_files(root, dataset).get(split_name(split), [])]
    rows = read_rows(root, dataset, split, used_columns(dataset))
    try:
        examples, found = prepare(rows, asked, name)
    except RowError as error:
        place = row_place(root, dataset, split, error.number)
        raise DatasetError(f"{place}: {error}") from None
    for warning in found["warnings"]:
        print(f"{name}: {warning}")  # not into the log: at once
    write_examples(examples, output)
    audit.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if seen is not None:
        Note(looks(files), hash_files(files), told).write(seen)


def prepare(rows: Iterable[Mapping], spec: Mapping, name: str) -> tuple[list[dict], dict]:
    """Turn rows into examples, drop those without a gold answer, draw as many as asked for.

    Args:
        rows: of the split, in order.
        spec: a ``SplitSlice``.
        name: of the dataset and split, for example ids: ``mnli_matched-test``.

    Returns:
        The examples, and the audit: rows, kept and drawn counts, dropped rows by reason,
        balance of the gold answers, duplicates, and warnings where much is dropped or nothing is
        left to tell apart.

    Raises:
        RowError: a column is missing, a label is none of the family's.
        DatasetError: nothing is left.
    """
    examples, total = [], 0
    dropped: Counter[Missing] = Counter()
    for number, row in enumerate(rows):
        total += 1
        try:
            example, missing = example_of(row, spec)
        except DatasetError as error:
            raise RowError(number, str(error)) from None
        if missing:
            dropped[missing] += 1
        else:
            examples.append({"example_id": f"{name}-{number}", **example})
    reasons: Counter[str] = Counter()
    for missing, count in dropped.items():
        reasons[missing.reason] += count
    if not examples:
        raise _nothing_left(name, spec, total, reasons)
    drawn = _draw(examples, spec["limit"], spec["seed"])
    audit = {
        "split": spec["split"],
        "rows": total,
        "kept": len(examples),
        "drawn": len(drawn),
        "dropped": dict(sorted(reasons.items())),
        "gold": _balance(drawn, spec["kind"]),
        "duplicates": len(drawn) - len({content_key(example) for example in drawn}),
        "empty_fields": sum(not all(example.get("fields", {}).values()) for example in drawn),
    }
    audit["warnings"] = list(_warnings(audit, spec["kind"], dropped))
    return drawn, audit


def _warnings(audit: Mapping, kind: str, dropped: Counter[Missing]) -> Iterator[str]:
    """Sentences that a person has to know at once of a split."""
    lost = dropped.total()
    if lost > FEW * audit["rows"]:
        listed = [
            f"{count} with {reason}" + ("" if found is None else f", found {found}")
            for (reason, found), count in dropped.most_common(SHOWN)
        ]
        if len(dropped) > SHOWN:
            listed.append(f"{len(dropped) - SHOWN} more kinds")
        share = f"{lost / audit['rows']:.0%}"
        yield f"{lost} of {audit['rows']} rows ({share}) are dropped: {'; '.join(listed)}"
    if kind == "classification" and len(audit["gold"]) == 1 and audit["drawn"] > 1:
        [label] = audit["gold"]
        yield f"all {audit['drawn']} rows have the label {label!r}: there is nothing to tell apart"


def content_key(example: Mapping) -> str:
    """The question of an example as one text, equal where only id and gold answer differ."""
    parts = ("fields", "choices", "continuation", "messages", "text")
    asked = {key: example[key] for key in parts if key in example}
    return json.dumps(asked, sort_keys=True, ensure_ascii=False)


def _draw(examples: list[dict], limit: int | None, seed: int) -> list[dict]:
    """A random draw without replacement, kept in the order of the file."""
    if limit is None or limit >= len(examples):
        return examples
    chosen = sorted(random.Random(seed).sample(range(len(examples)), limit))
    return [examples[number] for number in chosen]


def _balance(examples: list[dict], kind: str) -> dict[str, int]:
    if kind in ("generation", "chat", "text"):
        return {}
    return dict(sorted(Counter(str(example["gold"]) for example in examples).items()))


def _nothing_left(name: str, spec: Mapping, total: int, dropped: Counter) -> DatasetError:
    place = f"split {spec['split']!r} of {source_name(spec['dataset'])}"
    if not total:
        return DatasetError(f"{name}: {place} has no rows; name another in the family's file")
    reasons = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
    if spec["kind"] == "text":
        return DatasetError(
            f"{name}: no row of {place} holds text ({total} rows: {reasons}); name another column "
            f"as datasets.{name.rpartition('-')[0]}.text in the family's file"
        )
    return DatasetError(
        f"{name}: no row of {place} can be used ({total} rows: {reasons}); hidden test labels are "
        "published as -1. Name a labelled split in the family's file"
    )
