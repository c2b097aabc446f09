"""From a dataset's rows to prepared examples: columns to fields, gold answers checked.

A slice of the study (``SplitSlice``) says what to read: the dataset's description, the kind of its
family, its labels, the split, how many examples and the seed of their draw.
"""

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ptft.data.rows import DatasetError, read_rows, source_name, split_files
from ptft.data.transforms import TRANSFORMS

NO_GOLD = {"", "-", "-1", "None"}


class SplitSlice(TypedDict):
    """What decides the rows of a prepared split (``Grid.split_slice``)."""

    __pydantic_config__ = {"extra": "forbid"}

    version: NotRequired[int]
    kind: Literal["classification", "multiple_choice", "generation", "chat"]
    labels: NotRequired[list[str] | None]
    dataset: dict[str, Any]
    split: str
    limit: int | None
    seed: int


class Unlabelled(DatasetError):
    """A split has rows, but no gold answers."""


def prepare(rows: Iterable[Mapping], spec: Mapping, name: str) -> tuple[list[dict], dict]:
    """Turn rows into examples, drop those without a gold answer, draw as many as asked for.

    Args:
        rows: of the split, in order.
        spec: a ``SplitSlice``.
        name: of the dataset and split, for example ids: ``mnli_matched-test``.

    Returns:
        The examples, and the audit: rows, kept and drawn counts, dropped rows by reason,
        balance of the gold answers, duplicates.

    Raises:
        DatasetError: a column is missing, a label is none of the family's, nothing is left.
    """
    examples, dropped, total = [], Counter(), 0
    for number, row in enumerate(rows):
        total += 1
        example, reason = _example(row, spec, f"{name}, row {number}")
        if reason:
            dropped[reason] += 1
        else:
            examples.append({"example_id": f"{name}-{number}", **example})
    if not examples:
        raise _nothing_left(name, spec, total, dropped)
    drawn = _draw(examples, spec["limit"], spec["seed"])
    audit = {
        "split": spec["split"],
        "rows": total,
        "kept": len(examples),
        "drawn": len(drawn),
        "dropped": dict(sorted(dropped.items())),
        "gold": _balance(drawn, spec["kind"]),
        "duplicates": len(drawn) - len({content_key(example) for example in drawn}),
        "empty_fields": sum(not all(example["fields"].values()) for example in drawn),
    }
    return drawn, audit


def content_key(example: Mapping) -> str:
    """What an example asks, as one text: equal for two examples that differ in id and gold only."""
    parts = ("fields", "choices", "continuation", "messages")
    asked = {key: example[key] for key in parts if key in example}
    return json.dumps(asked, sort_keys=True, ensure_ascii=False)


def labelled_splits(root: Path, spec: Mapping) -> dict[str, int]:
    """Splits on disk that have gold answers, with the number of rows that do."""
    found = {}
    for split in split_files(root, spec["dataset"]):
        rows = read_rows(root, spec["dataset"], split)
        labelled = sum(_example(row, spec, split)[1] is None for row in rows)
        if labelled:
            found[split] = labelled
    return found


def column(row: Mapping, path: str, where: str) -> object:
    """Value of a column; a dot goes into a struct (``choices.text``) or a list (``answers.0``).

    Raises:
        DatasetError: there is no such column (the message lists those that are there), or what
            stands there is no number where a number is meant: NaN or an infinity.
    """
    value: object = row
    for part in [path] if path in row else path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise DatasetError(f"{where}: no column {path!r}; the row has {', '.join(row)}")
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise DatasetError(
                f"{where}: column {path!r} holds {number}, which is neither a text nor a number; "
                "mend the row, or write null where a value is missing"
            )
    return value


def _example(row: Mapping, spec: Mapping, where: str) -> tuple[dict, str | None]:
    """A row's fields and gold answer, or why it has none."""
    description = spec["dataset"]
    if spec["kind"] == "chat":
        return _conversation(row, description["messages"], where)
    fields = {
        field: _field(row, source, f"{where}, field {field!r}")
        for field, source in description["fields"].items()
    }
    if spec["kind"] == "generation":
        gold, reason = _target(row, description["target"], where)
    elif spec["kind"] == "classification":
        gold, reason = _label(row, description["label"], where)
    else:
        gold, reason = _choice(row, description, fields, where)
    return {"fields": fields, **gold}, reason


def _field(row: Mapping, source: str | Mapping, where: str) -> str:
    if isinstance(source, str):
        return _text(column(row, source, where))
    if "transform" in source:
        names = source["column"]
        names = [names] if isinstance(names, str) else names
        texts = [_text(column(row, name, where)) for name in names]
        return _transformed(source["transform"], texts, where)
    value = column(row, source["column"], where)
    if "columns" in source:
        return _text(column(row, _mapped(value, source["columns"], where), where))
    return _mapped(value, source["values"], where)


def _transformed(name: str, texts: list[str], where: str) -> str:
    try:
        return TRANSFORMS[name](*texts)
    except (IndexError, ValueError) as error:
        raise DatasetError(
            f"{where}: {' and '.join(map(repr, texts))} can't be rewritten by {name}: {error}"
        ) from None


def _number(value: object, kind: type, where: str) -> float:
    try:
        if math.isfinite(float(value)):
            return kind(value)
        raise ValueError
    except (TypeError, ValueError):
        expected = "an index from 0 (or say `among` or `values`)" if kind is int else "a number"
        raise DatasetError(f"{where}: found {value!r}, expected {expected}") from None


def _listed(row: Mapping, path: str, where: str) -> list:
    """Value of a column that holds a list."""
    value = column(row, path, where)
    if not isinstance(value, list):
        raise DatasetError(f"{where}: column {path!r} holds {value!r}, expected a list")
    return value


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _mapped(value: object, values: Mapping, where: str) -> object:
    """What a file's ``values`` gives for a value; its keys are compared as text."""
    table = {str(key).lower(): mapped for key, mapped in values.items()}
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a CSV column of numbers with gaps is read as floats
    if str(value).lower() not in table:
        raise DatasetError(f"{where}: {value!r} is none of the known values {', '.join(table)}")
    return table[str(value).lower()]


def _conversation(row: Mapping, source: str, where: str) -> tuple[dict, str | None]:
    messages = [
        {"role": column(turn, "role", where), "content": column(turn, "content", where)}
        for turn in _listed(row, source, where)
    ]
    learned = any(turn["role"] == "assistant" and turn["content"] for turn in messages)
    reason = None if learned else "no assistant turn"
    return {"fields": {}, "messages": messages, "gold": ""}, reason


def _target(row: Mapping, source: str, where: str) -> tuple[dict, str | None]:
    target = _text(column(row, source, where)).strip()
    return {"gold": target}, None if target else "empty target"


def _label(row: Mapping, label: Mapping, where: str) -> tuple[dict, str | None]:
    value = column(row, label["column"], where)
    if _is_hidden(value):
        return {}, "no gold label"
    if "above" in label:
        score = _number(value, float, f"{where}, column {label['column']!r}")
        return {"gold": label["names"][score > label["above"]]}, None
    return {"gold": _mapped(value, label["values"], where)}, None


def _choice(
    row: Mapping, description: Mapping, fields: Mapping, where: str
) -> tuple[dict, str | None]:
    choices, answer = _choices(row, description, fields, where), description["answer"]
    if not all(choice.strip() for choice in choices):
        return {}, "empty choice"
    asked = {"choices": choices}
    if "continuation" in description:
        asked["continuation"] = _field(row, description["continuation"], where)
    if "index" in answer:
        return {"gold": answer["index"], **asked}, None
    value = column(row, answer["column"], where)
    if _is_hidden(value):
        return {}, "no gold answer"
    if "values" in answer:
        index = _mapped(value, answer["values"], where)
    elif "among" in answer:
        names = _listed(row, answer["among"], where)
        if value not in names:
            raise DatasetError(f"{where}: answer {value!r} is not among {names}")
        index = names.index(value)
    else:
        index = _number(value, int, f"{where}, column {answer['column']!r}")
    if not 0 <= index < len(choices):
        raise DatasetError(f"{where}: answer {index} is none of {len(choices)} choices")
    return {"gold": index, **asked}, None


def _choices(row: Mapping, description: Mapping, fields: Mapping, where: str) -> list[str]:
    """The choices as they stand, spaces included: the harness scores these too."""
    choices, source = description.get("choice_texts"), description.get("choices")
    if isinstance(source, list):
        choices = [column(row, name, where) for name in source]
    elif source is not None:
        choices = _listed(row, source, where)
    choices = [_text(choice) for choice in choices]
    if transform := description.get("choice_transform"):
        choices = [_transformed(transform, [choice], where) for choice in choices]
    if template := description.get("choice_template"):
        choices = [template.format(choice=choice, **fields) for choice in choices]
    return choices


def _is_hidden(value: object) -> bool:
    """Whether a gold answer is withheld: hidden test labels are published as -1."""
    return value == -1 or str(value).strip() in NO_GOLD


def _draw(examples: list[dict], limit: int | None, seed: int) -> list[dict]:
    """A random draw without replacement, kept in the order of the file."""
    if limit is None or limit >= len(examples):
        return examples
    chosen = sorted(random.Random(seed).sample(range(len(examples)), limit))
    return [examples[number] for number in chosen]


def _balance(examples: list[dict], kind: str) -> dict[str, int]:
    if kind in ("generation", "chat"):
        return {}
    return dict(sorted(Counter(str(example["gold"]) for example in examples).items()))


def _nothing_left(name: str, spec: Mapping, total: int, dropped: Counter) -> DatasetError:
    place = f"split {spec['split']!r} of {source_name(spec['dataset'])}"
    if not total:
        return DatasetError(f"{name}: {place} has no rows; name another in the family's file")
    reasons = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
    return Unlabelled(
        f"{name}: no row of {place} can be used ({total} rows: {reasons}); hidden test labels are "
        "published as -1. Name a labelled split in the family's file"
    )
