"""Reading the rows of a split: from a folder in the Hub's layout, or from files on disk."""

import bisect
import contextlib
import glob
import itertools
import json
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ptft.paths import hub_dataset

if TYPE_CHECKING:
    import datasets

READERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}

# The notation of `datasets` (datasets/arrow_reader.py), without sums and ways of rounding.
SPLIT = re.compile(r"(\w+(?:\.\w+)*)(?:\[(-?\d+)?(%)?:(-?\d+)?(%)?\])?")


class DatasetError(ValueError):
    """A dataset can't be used as described; the message says where and what to do."""


def check_split(expression: str) -> str:
    """A split, or a part of one, as it is written in a family's file.

    Raises:
        ValueError: it is neither, or a part that holds no row whatever the split has.
    """
    found = SPLIT.fullmatch(expression)
    if found is None:
        raise ValueError(
            f"{expression!r} is not a split; expected a name, or a part of it by rows or per cent: "
            "train, train[:64], train[64:], train[10%:50%]"
        )
    _, start, start_unit, stop, stop_unit = found.groups()
    if start and stop and start_unit != stop_unit:
        raise ValueError(f"{expression!r} mixes rows and per cent; use one of them")
    if (start_unit or stop_unit) and max(abs(int(start or 0)), abs(int(stop or 0))) > 100:
        raise ValueError(f"{expression!r} goes beyond 100 %")
    if start and stop and (int(start) < 0) == (int(stop) < 0) and int(start) >= int(stop):
        raise ValueError(f"{expression!r} holds no rows: it has to end after it begins")
    return expression


def split_name(expression: str) -> str:
    """The split that an expression like ``train[:64]`` is a part of."""
    return expression.split("[")[0]


def may_overlap(one: str, other: str) -> bool:
    """Whether two expressions can hold the same row of a split, whatever its number of rows."""
    name, unit, start, stop = _range(one)
    other_name, other_unit, other_start, other_stop = _range(other)
    if name != other_name:
        return False
    comparable = unit == other_unit and min(start, stop, other_start, other_stop) >= 0
    return not comparable or (start < other_stop and other_start < stop)


def _range(expression: str) -> tuple[str, str, float, float]:
    """Name of the split, unit, first row or per cent, and the one behind the last."""
    name, start, start_unit, stop, stop_unit = SPLIT.fullmatch(expression).groups()
    unit = start_unit or stop_unit or "rows"
    return name, unit, int(start or 0), int(stop) if stop else math.inf


def read_rows(root: Path, description: Mapping, split: str) -> list[dict]:
    """Rows of a split, read without network.

    Args:
        root: folder in the Hub's layout (``datasets/OWNER/NAME/CONFIG/SPLIT-*.parquet``, or
            ``…/SPLIT/*.parquet`` as on the Hub's branch of converted data).
        description: of the dataset: ``repository`` and ``config``, or ``files``.
        split: split in the notation of `datasets`, e.g. ``train[:64]``.

    Raises:
        DatasetError: the split does not exist (the message lists those that do) or has fewer
            rows than its range names, or a file can't be read.
    """
    found = split_files(root, description)
    name = split_name(split)
    if name not in found:
        raise DatasetError(
            f"no split {name!r} of {source_name(description)} in {_place(root, description)}: "
            f"found {', '.join(found) or 'no data files'}"
        )
    with _read(name, found[name]) as builder:
        total = builder.info.splits[name].num_examples
        _require_rows(split, total, source_name(description))
        first, end = _bounds(split, total)
        if first >= end:  # `datasets` makes no dataset without rows
            return []
        return builder.as_dataset(split=split, in_memory=True).to_list()


def row_place(root: Path, description: Mapping, split: str, number: int) -> str:
    """File and row, both as a person finds them: rows are counted from 1 in each file.

    Args:
        root, description, split: as in ``read_rows``.
        number: of the row among those that ``read_rows`` gave, from 0.
    """
    name = split_name(split)
    files = split_files(root, description)[name]
    counts = []
    for file in files:
        with _read(name, [file]) as builder:
            counts.append(builder.info.splits[name].num_examples)
    ends = list(itertools.accumulate(counts))
    row = _bounds(split, ends[-1])[0] + number
    place = bisect.bisect_right(ends, row)
    return f"{files[place]}, row {row - ends[place] + counts[place] + 1}"


def split_files(root: Path, description: Mapping) -> dict[str, list[str]]:
    """Data files of every split that is on disk."""
    if "files" in description:
        return {
            split: sorted(glob.glob(pattern)) or [pattern]
            for split, pattern in description["files"].items()
        }
    folder = Path(hub_dataset(root, description["repository"], description["config"]))
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        first, *others = path.relative_to(folder).parts
        split = first if others else path.stem.split("-")[0]
        if not split.endswith(".part"):  # being fetched
            found.setdefault(split, []).append(str(path))
    return found


def source_name(description: Mapping) -> str:
    """A dataset's source for messages."""
    if "files" in description:
        return ", ".join(description["files"].values())
    return f"{description['repository']} ({description['config']})"


@contextlib.contextmanager
def _read(name: str, files: list[str]) -> Iterator["datasets.DatasetBuilder"]:
    """The files of a split, read.

    Raises:
        DatasetError: one can't be.
    """
    import datasets
    import pyarrow

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it says is raised below
    with tempfile.TemporaryDirectory() as cache:
        try:
            builder = datasets.load_dataset_builder(
                _reader(files), data_files={name: files}, cache_dir=cache
            )
            builder.download_and_prepare()
        except (datasets.exceptions.DatasetGenerationError, pyarrow.ArrowInvalid) as error:
            raise DatasetError(_unreadable(files, error.__cause__ or error)) from error
        yield builder


def _bounds(split: str, total: int) -> tuple[int, int]:
    """First row of a part of a split that has so many, and the row behind its last."""
    import datasets

    [part] = datasets.ReadInstruction.from_spec(split).to_absolute({split_name(split): total})
    return part.from_, part.to


def _place(root: Path, description: Mapping) -> str:
    if "files" in description:
        return "`files`"
    return hub_dataset(root, description["repository"], description["config"])


def _reader(files: Iterable[str]) -> str:
    """Name of the `datasets` reader for some files.

    Raises:
        DatasetError: a file is missing, or their endings are unknown or differ.
    """
    for file in files:
        if not Path(file).is_file():
            raise DatasetError(f"{file} does not exist (relative to {Path.cwd()})")
        if not Path(file).stat().st_size:
            raise DatasetError(f"{file} is empty; expected rows")
    endings = {Path(file).suffix for file in files}
    if len(endings) != 1 or not endings <= READERS.keys():
        raise DatasetError(
            f"{', '.join(files)}: found files that end in {', '.join(sorted(endings))}; expected "
            f"one of {', '.join(READERS)}"
        )
    return READERS[endings.pop()]


def _require_rows(expression: str, total: int, source: str) -> None:
    """Refuse a part of a split that names rows which the split does not have."""
    name, *bounds = SPLIT.fullmatch(expression).groups()
    rows = [
        int(bound)
        for bound, unit in zip(bounds[::2], bounds[1::2], strict=True)
        if bound and not unit
    ]
    if any(abs(row) > total for row in rows):
        raise DatasetError(
            f"{expression!r} of {source} names rows beyond the end: split {name!r} has {total}; "
            "change the range in the family's file"
        )


def _unreadable(files: Iterable[str], error: Exception) -> str:
    """Which file can't be read and why; of JSON Lines also the line."""
    for file in files:
        if not file.endswith(".jsonl"):
            continue
        for number, line in enumerate(Path(file).read_text(errors="replace").splitlines(), start=1):
            try:
                json.loads(line or "null")
            except json.JSONDecodeError as mistake:
                return f"{file}:{number}: found no JSON object: {mistake.msg}"
    return f"{', '.join(files)} can't be read: {error}"
