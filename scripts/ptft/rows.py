"""Reading the rows of a split: from a folder in the Hub's layout, or from files on disk."""

import glob
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ptft.paths import hub_dataset

READERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


class DatasetError(ValueError):
    """A dataset can't be used as described; the message says where and what to do."""


def split_name(expression: str) -> str:
    """The split that an expression like ``train[:64]`` is a part of."""
    return expression.split("[")[0]


def read_rows(root: Path, description: Mapping, split: str) -> list[dict]:
    """Rows of a split, read without network.

    Args:
        root: folder in the Hub's layout (``datasets/OWNER/NAME/CONFIG/SPLIT-*.parquet``, or
            ``…/SPLIT/*.parquet`` as on the Hub's branch of converted data).
        description: of the dataset: ``repository`` and ``config``, or ``files``.
        split: split in the notation of `datasets`, e.g. ``train[:64]``.

    Raises:
        DatasetError: the split does not exist (the message lists those that do), or a file is
            of a kind that is not read.
    """
    import datasets

    datasets.disable_progress_bars()
    found = split_files(root, description)
    name = split_name(split)
    if name not in found:
        raise DatasetError(
            f"no split {name!r} of {source_name(description)} in {_place(root, description)}: "
            f"found {', '.join(found) or 'no data files'}"
        )
    with tempfile.TemporaryDirectory() as cache:
        try:
            loaded = datasets.load_dataset(
                _reader(found[name]),
                data_files={name: found[name]},
                split=split,
                cache_dir=cache,
                keep_in_memory=True,
            )
        except datasets.exceptions.DatasetGenerationError as error:
            raise DatasetError(
                f"{', '.join(found[name])} can't be read: {error.__cause__ or error}"
            ) from error
        return loaded.to_list()


def split_files(root: Path, description: Mapping) -> dict[str, list[str]]:
    """Data files of every split that is on disk."""
    if "files" in description:
        return {
            split: sorted(glob.glob(pattern)) or [pattern]
            for split, pattern in description["files"].items()
        }
    folder = Path(hub_dataset(root, description["repository"], description["config"]))
    found: dict[str, list[str]] = {}
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]):
        inside = path.parent != folder
        split = path.parent.name if inside else path.stem.split("-")[0]
        found.setdefault(split, []).append(str(path))
    return found


def source_name(description: Mapping) -> str:
    """A dataset's source for messages."""
    if "files" in description:
        return ", ".join(description["files"].values())
    return f"{description['repository']} ({description['config']})"


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
    endings = {Path(file).suffix for file in files}
    if len(endings) != 1 or not endings <= READERS.keys():
        raise DatasetError(
            f"{', '.join(files)}: found files that end in {', '.join(sorted(endings))}; expected "
            f"one of {', '.join(READERS)}"
        )
    return READERS[endings.pop()]
