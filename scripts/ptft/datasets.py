"""From a dataset's rows to prepared examples: columns to fields, gold answers checked.

A *slice* (``Grid.split_slice``) says what to read: the dataset's description, the kind of its
family, its labels, the split, how many examples and the seed of their draw.
"""

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from ptft.paths import hub_dataset

NO_GOLD = {"", "-", "-1"}


class DatasetError(ValueError):
    """A dataset can't be used as described; the message says where and what to do."""


def read_rows(root: Path, description: Mapping, split: str) -> list[dict]:
    """Rows of a split from a folder in the Hub's layout.

    Args:
        root: folder that holds ``datasets/OWNER/NAME/CONFIG/SPLIT-*.parquet``.
        description: ``repository`` and ``config`` of the dataset.
        split: split in the notation of `datasets`, e.g. ``train[:64]``.

    Raises:
        DatasetError: the folder or the split does not exist; the message lists what does.
    """
    import datasets

    datasets.disable_progress_bars()
    folder = Path(hub_dataset(root, description["repository"], description["config"]))
    files: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.parquet")):
        files.setdefault(path.name.split("-")[0].removesuffix(".parquet"), []).append(str(path))
    name = split.split("[")[0]
    if name not in files:
        raise DatasetError(
            f"no split {name!r} of {description['repository']} ({description['config']}) in "
            f"{folder}: found {', '.join(files) or 'no parquet files'}"
        )
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(
            "parquet",
            data_files={name: files[name]},
            split=split,
            cache_dir=cache,
            keep_in_memory=True,
        )
        return loaded.to_list()


def prepare(rows: Iterable[Mapping], spec: Mapping, name: str) -> tuple[list[dict], dict]:
    """Turn rows into examples, drop those without a gold answer, draw as many as asked for.

    Args:
        rows: of the split, in order.
        spec: a slice of the study (``Grid.split_slice``).
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
        gold, reason = _gold(row, spec, f"{name}, row {number}")
        if reason:
            dropped[reason] += 1
            continue
        description = spec["dataset"]
        fields = {
            field: _field(row, source, f"{name}, row {number}, field {field!r}")
            for field, source in description["fields"].items()
        }
        examples.append({"example_id": f"{name}-{number}", "fields": fields, **gold})
    if not examples:
        raise DatasetError(_nothing_left(name, spec, total, dropped))
    drawn = _draw(examples, spec["limit"], spec["seed"])
    audit = {
        "split": spec["split"],
        "rows": total,
        "kept": len(examples),
        "drawn": len(drawn),
        "dropped": dict(sorted(dropped.items())),
        "gold": _balance(drawn, spec["kind"]),
        "duplicates": len(drawn) - len({json.dumps(e["fields"], sort_keys=True) for e in drawn}),
    }
    return drawn, audit


def write_examples(examples: Iterable[Mapping], path: Path) -> None:
    """Write examples as JSON Lines."""
    with path.open("w") as file:
        for example in examples:
            file.write(json.dumps(example, ensure_ascii=False) + "\n")


def read_examples(path: Path) -> list[dict]:
    """Read examples from JSON Lines."""
    with path.open() as file:
        return [json.loads(line) for line in file]


def column(row: Mapping, path: str, where: str) -> object:
    """Value of a column; a dot goes into a struct (``choices.text``) or a list (``answers.0``).

    Raises:
        DatasetError: there is no such column; the message lists those that are there.
    """
    if path in row:
        return row[path]
    value: object = row
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise DatasetError(f"{where}: no column {path!r}; the row has {', '.join(row)}")
    return value


def _field(row: Mapping, source: str | Mapping, where: str) -> str:
    if isinstance(source, str):
        return str(column(row, source, where))
    value = column(row, source["column"], where)
    return _mapped(value, source["values"], where)


def _mapped(value: object, values: Mapping, where: str) -> object:
    """What a file's ``values`` gives for a value; its keys are compared as text."""
    table = {str(key).lower(): mapped for key, mapped in values.items()}
    if str(value).lower() not in table:
        raise DatasetError(f"{where}: {value!r} is none of the known values {', '.join(table)}")
    return table[str(value).lower()]


def _gold(row: Mapping, spec: Mapping, where: str) -> tuple[dict, str | None]:
    """The example's gold answer, or why the row has none."""
    description, kind = spec["dataset"], spec["kind"]
    if kind == "generation":
        target = str(column(row, description["target"], where) or "").strip()
        return {"gold": target}, None if target else "empty target"
    if kind == "classification":
        return _label(row, description["label"], where)
    return _choice(row, description, where)


def _label(row: Mapping, label: Mapping, where: str) -> tuple[dict, str | None]:
    value = column(row, label["column"], where)
    if value is None or str(value).strip() in NO_GOLD or (value == -1):
        return {}, "no gold label"
    if "above" in label:
        return {"gold": label["names"][float(value) > label["above"]]}, None
    return {"gold": _mapped(value, label["values"], where)}, None


def _choice(row: Mapping, description: Mapping, where: str) -> tuple[dict, str | None]:
    answer = description["answer"]
    choices = description.get("choice_texts")
    if choices is None:
        source = description["choices"]
        listed = isinstance(source, list)
        choices = [column(row, c, where) for c in source] if listed else column(row, source, where)
    choices = [str(choice).strip() for choice in choices]
    if "index" in answer:
        index = answer["index"]
    else:
        value = column(row, answer["column"], where)
        if value is None or str(value).strip() in NO_GOLD:
            return {}, "no gold answer"
        if "values" in answer:
            index = _mapped(value, answer["values"], where)
        elif "among" in answer:
            names = column(row, answer["among"], where)
            if value not in names:
                raise DatasetError(f"{where}: answer {value!r} is not among {names}")
            index = names.index(value)
        else:
            index = int(value)
    if not 0 <= index < len(choices):
        raise DatasetError(f"{where}: answer {index} is none of {len(choices)} choices")
    return {"gold": index, "choices": choices}, None


def _draw(examples: list[dict], limit: int | None, seed: int) -> list[dict]:
    """A random draw without replacement, kept in the order of the file."""
    if limit is None or limit >= len(examples):
        return examples
    chosen = sorted(random.Random(seed).sample(range(len(examples)), limit))
    return [examples[number] for number in chosen]


def _balance(examples: list[dict], kind: str) -> dict[str, int]:
    if kind == "generation":
        return {}
    return dict(sorted(Counter(str(example["gold"]) for example in examples).items()))


def _nothing_left(name: str, spec: Mapping, total: int, dropped: Counter) -> str:
    if not total:
        return f"{name}: split {spec['split']!r} of {spec['dataset']['repository']} has no rows"
    reasons = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
    return (
        f"{name}: no row of split {spec['split']!r} can be used ({total} rows: {reasons}). Hidden "
        "test labels are published as -1: name a labelled split in the family's file"
    )
