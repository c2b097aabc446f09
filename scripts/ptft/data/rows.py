"""Reading the rows of a split: from a folder in the Hub's layout, or from files on disk.

A value is the text that stands in the file. A CSV file holds text and nothing else; in JSON a text
stays a text and a number is kept as it is written (:class:`Written`); parquet files have types.
Nothing is guessed to be a number, a date or missing, and columns that nobody uses are not looked
at.
"""

import bisect
import csv
import functools
import glob
import gzip
import itertools
import json
import math
import re
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ptft.paths import hub_dataset

if TYPE_CHECKING:
    import pyarrow

# The notation of `datasets` (datasets/arrow_reader.py), without sums and ways of rounding.
SPLIT = re.compile(r"(\w+(?:\.\w+)*)(?:\[(-?\d+)?(%)?:(-?\d+)?(%)?\])?")


class DatasetError(ValueError):
    """A dataset can't be used as described; the message says where and what to do."""


class Written(str):
    """A number of a JSON file as it is written there: ``3.10``, ``1e5``."""


# Splits and their parts ---------------------------------------------------------------------------


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
    name, start, start_unit, stop, stop_unit = _parsed(expression)
    unit = start_unit or stop_unit or "rows"
    return name, unit, int(start or 0), int(stop) if stop else math.inf


def _parsed(expression: str) -> tuple[str, ...]:
    found = SPLIT.fullmatch(expression)
    if found is None:
        raise DatasetError(f"{expression!r} is not a split")
    return found.groups()


def bounds(expression: str, total: int) -> tuple[int, int]:
    """First row of a part of a split that has ``total`` rows, and the row behind its last.

    As ``datasets.ReadInstruction`` has them: per cents are rounded to the nearest row.
    """
    _, start, start_unit, stop, stop_unit = _parsed(expression)

    def row(bound: str | None, unit: str | None, default: int) -> int:
        if not bound:
            return default
        at = round(int(bound) * total / 100) if unit else int(bound)
        return min(max(at + total if at < 0 else at, 0), total)

    return row(start, start_unit, 0), row(stop, stop_unit, total)


# Files and their rows -----------------------------------------------------------------------------


def read_rows(
    root: Path, description: Mapping, split: str, columns: Collection[str] | None = None
) -> list[dict]:
    """Rows of a split, read without network.

    Args:
        root: folder in the Hub's layout (``datasets/OWNER/NAME/CONFIG/SPLIT-*.parquet``, or
            ``…/SPLIT/*.parquet`` as on the Hub's branch of converted data).
        description: of the dataset: ``repository`` and ``config``, or ``files``.
        split: split in the notation of `datasets`, e.g. ``train[:64]``.
        columns: those that are used, as paths (``choices.text``); all where not given.

    Raises:
        DatasetError: the split does not exist (the message lists those that do) or has fewer
            rows than its range names; a used column is missing; or a file can't be read.
    """
    files = _files_of_split(root, description, split)
    tables = [_Table.read(file, columns) for file in files]
    total = sum(table.total for table in tables)
    _require_rows(split, total, source_name(description))
    for path in sorted(columns or ()):
        known = list(dict.fromkeys(name for table in tables for name in table.names))
        if total and not {path, path.split(".")[0]} & set(known):
            raise DatasetError(
                f"{', '.join(files)}: column {path!r}: found no such column, expected one of "
                f"{', '.join(known)}; correct its name in the family's file"
            )
    first, end = bounds(split, total)
    rows = itertools.chain.from_iterable(table.rows() for table in tables)
    return list(itertools.islice(rows, first, end))


def row_place(root: Path, description: Mapping, split: str, number: int) -> str:
    """File and row, both as a person finds them: rows are counted from 1 in each file.

    Args:
        root, description, split: as in ``read_rows``.
        number: of the row among those that ``read_rows`` gave, from 0.
    """
    files = _files_of_split(root, description, split)
    counts = [_Table.read(file, ()).total for file in files]
    ends = list(itertools.accumulate(counts))
    row = bounds(split, ends[-1])[0] + number
    place = bisect.bisect_right(ends, row)
    return f"{files[place]}, row {row - ends[place] + counts[place] + 1}"


def split_files(root: Path, description: Mapping) -> dict[str, list[str]]:
    """Data files of every split that is on disk."""
    if "files" in description:
        return {split: _matching(pattern) for split, pattern in description["files"].items()}
    folder = Path(hub_dataset(str(root), description["repository"], description["config"]))
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


def _matching(pattern: str) -> list[str]:
    """The file of that very name, or those that the pattern matches, or the name again."""
    return [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern)) or [pattern]


def _files_of_split(root: Path, description: Mapping, split: str) -> list[str]:
    found, name = split_files(root, description), split_name(split)
    if name in found:
        return found[name]
    place = "`files`"
    if "files" not in description:
        place = hub_dataset(str(root), description["repository"], description["config"])
    raise DatasetError(
        f"no split {name!r} of {source_name(description)} in {place}: "
        f"found {', '.join(found) or 'no data files'}"
    )


def _require_rows(expression: str, total: int, source: str) -> None:
    """Refuse a part of a split that names rows which the split does not have."""
    name, start, start_unit, stop, stop_unit = _parsed(expression)
    rows = [
        int(bound) for bound, unit in ((start, start_unit), (stop, stop_unit)) if bound and not unit
    ]
    if any(abs(row) > total for row in rows):
        raise DatasetError(
            f"{expression!r} of {source} names rows beyond the end: split {name!r} has {total}; "
            "change the range in the family's file"
        )


class _Table:
    """The rows of one file.

    Attributes:
        total: number of rows.
        names: columns, the unused ones too.
        rows: the rows, with the used columns alone where the file has others.
    """

    def __init__(self, total: int, names: Collection[str], rows: Callable[[], Iterable[dict]]):
        self.total, self.names, self.rows = total, list(names), rows

    @classmethod
    def read(cls, file: str, columns: Collection[str] | None) -> "_Table":
        """Read a file by what its name ends in.

        Raises:
            DatasetError: it is missing, empty, of an unknown kind, or broken.
        """
        if not Path(file).is_file():
            raise DatasetError(f"{file} does not exist (relative to {Path.cwd()})")
        if not Path(file).stat().st_size:
            raise DatasetError(f"{file} is empty; expected rows")
        reader = READERS.get(Path(file.removesuffix(".gz")).suffix)
        if reader is None or (reader is _read_parquet and file.endswith(".gz")):
            raise DatasetError(
                f"{file}: found a file that ends in {Path(file).suffix or 'nothing'}; expected one "
                f"of {', '.join(READERS)}, .jsonl.gz, .json.gz, .csv.gz"
            )
        used = None if columns is None else {*columns, *(path.split(".")[0] for path in columns)}
        return reader(file, used)


def _opened(file: str) -> TextIO:
    """A file of text, with or without a byte-order mark, compressed or not."""
    opened = gzip.open if file.endswith(".gz") else open
    return opened(file, "rt", encoding="utf-8-sig", newline="")


def _told_of_bytes(read: Callable[[str, Any], _Table]) -> Callable[[str, Any], _Table]:
    """Let a reader of text say what to do about bytes that are none."""

    @functools.wraps(read)
    def told(file: str, used: Any) -> _Table:
        try:
            return read(file, used)
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{file} is not text in UTF-8: found the byte 0x{error.object[error.start]:02x}; "
                "save it as UTF-8"
            ) from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DatasetError(
                f"{file} is no whole gzip file ({error}); compress it again"
            ) from None

    return told


@_told_of_bytes
def _read_csv(file: str, used: set[str] | None) -> _Table:
    """Comma-separated values: a line of names, then text alone."""
    csv.field_size_limit(sys.maxsize)
    with _opened(file) as lines:
        reader = csv.reader(lines, strict=True)
        try:
            names = next(filter(None, reader), [])
            _refuse_repeated(file, names, used)
            kept = [at for at, name in enumerate(names) if used is None or name in used]
            rows = [
                _csv_row(f"{file}:{reader.line_num}", names, values, kept)
                for values in reader
                if values
            ]
        except csv.Error as error:
            raise DatasetError(f"{file}:{reader.line_num}: found no CSV: {error}") from None
    return _Table(len(rows), names, lambda: rows)


def _csv_row(place: str, names: Sequence[str], values: Sequence[str], kept: Sequence[int]) -> dict:
    if len(values) != len(names):
        raise DatasetError(
            f"{place}: found {len(values)} values, expected {len(names)} "
            f"({', '.join(names)}); put a value that holds a comma between quotes"
        )
    if values == names and len(names) > 1:
        raise DatasetError(
            f"{place}: found the line of column names again, expected values; remove it"
        )
    return {names[at]: values[at] for at in kept}


def _refuse_repeated(file: str, names: Sequence[str], used: set[str] | None) -> None:
    twice = [name for name in names if names.count(name) > 1 and (used is None or name in used)]
    if twice:
        raise DatasetError(
            f"{file}: found {names.count(twice[0])} columns named {twice[0]!r}, expected one; "
            "rename the others"
        )


@_told_of_bytes
def _read_json_lines(file: str, used: set[str] | None) -> _Table:
    """An object per line."""
    rows: list[dict] = []
    names: dict[str, None] = {}
    with _opened(file) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.isspace():
                place = f"{file}:{number}"
                rows.append(_json_row(place, _json(file, line.strip(), number), names, used))
    return _json_table(rows, names, used)


@_told_of_bytes
def _read_json(file: str, used: set[str] | None) -> _Table:
    """A list of objects; or an object per line, as `datasets` reads such a file, too."""
    with _opened(file) as content:
        text = content.read()
    try:
        found = _json(file, text, 1)
    except _ManyValues:
        return _read_json_lines(file, used)
    names: dict[str, None] = {}
    listed = found if isinstance(found, list) else [found]
    rows = [
        _json_row(f"{file}, row {number}", row, names, used)
        for number, row in enumerate(listed, start=1)
    ]
    return _json_table(rows, names, used)


class _ManyValues(DatasetError):
    """A file holds several values of JSON, one after the other."""


def _json(file: str, text: str, line: int) -> object:
    """Value of a JSON text that begins in a line of a file."""
    try:
        return json.loads(
            text,
            parse_float=Written,
            parse_int=Written,
            object_pairs_hook=functools.partial(_json_object, f"{file}:{line}"),
        )
    except json.JSONDecodeError as error:
        kind = _ManyValues if error.msg == "Extra data" else DatasetError
        place = f"{file}:{line + error.lineno - 1}"
        raise kind(f"{place}: found no JSON object: {error.msg}") from None
    except RecursionError:
        raise DatasetError(f"{file}:{line}: found JSON nested too deeply to be read") from None


def _json_object(place: str, pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"{place}: found the name {twice!r} twice in an object; remove one")
    return found


def _json_row(place: str, row: object, names: dict[str, None], used: set[str] | None) -> dict:
    if not isinstance(row, dict):
        found = "a list" if isinstance(row, list) else repr(row)[:80]
        raise DatasetError(f"{place}: found {found}, expected a JSON object")
    names.update(dict.fromkeys(row))
    return row if used is None else {name: row[name] for name in row if name in used}


def _json_table(rows: Sequence[dict], names: Mapping[str, None], used: set[str] | None) -> _Table:
    """Rows that lack a name which others have: a value is missing there."""
    blank = {name: None for name in names if used is None or name in used}
    return _Table(len(rows), names, lambda: ({**blank, **row} for row in rows))


def _read_parquet(file: str, used: set[str] | None) -> _Table:
    """A parquet file; its columns have types, and they are kept."""
    import pyarrow
    import pyarrow.parquet

    try:
        opened = pyarrow.parquet.ParquetFile(file)
        names = opened.schema_arrow.names
        _refuse_repeated(file, names, used)
        kept = [name for name in names if used is None or name in used]
        table = opened.read(columns=kept)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{file} can't be read: {error}") from None
    return _Table(opened.metadata.num_rows, names, lambda: _parquet_rows(table))


def _parquet_rows(table: "pyarrow.Table") -> Iterator[dict]:
    """Rows as Python has them; floats of 32 bits as they are written, 0.1 and not 0.10000000149."""
    # 16 bits are "halffloat", 64 are "double".
    short = [field.name for field in table.schema if "float" in str(field.type)]
    for batch in table.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            for name in short:
                row[name] = _plain(row[name], table.schema.field(name).type)
            yield row


def _plain(value: Any, kind: "pyarrow.DataType") -> Any:
    """A value with its short floats as the numbers that are written so."""
    import numpy as np
    import pyarrow.types as types

    if value is None:
        return None
    if types.is_float32(kind) or types.is_float16(kind):
        return float(str((np.float32 if types.is_float32(kind) else np.float16)(value)))
    if types.is_struct(kind):
        return {field.name: _plain(value[field.name], field.type) for field in kind}
    if isinstance(value, list):
        return [_plain(part, kind.value_type) for part in value]
    return value


READERS: dict[str, Callable[[str, set[str] | None], _Table]] = {
    ".parquet": _read_parquet,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
}
