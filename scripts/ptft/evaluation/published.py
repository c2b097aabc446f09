"""The record of a model's cells: which files exist, and under which keys.

The record is what Snakemake knows of an evaluation: one small file per checkpoint and arm, written
when all cells exist. The cells themselves are not declared outputs, so that no call of
Snakemake has to check each of them; listing their folder shows which exist.
"""

import json
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from ptft.paths import stored_cell


def write_published(keys: Mapping[str, str], record: Path) -> None:
    """Note the file name and the key of every cell of a model; the record is whole or absent."""
    record.parent.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix(".partial")
    partial.write_text(json.dumps(keys, indent=0, sort_keys=True))
    partial.replace(record)


def forget_gone(record: Path, absent: Collection[str], store: Path) -> None:
    """Take cells from the store whose files are gone since they were published.

    Args:
        record: as written by ``write_published``.
        absent: names of files that are not there; those never published are passed over.
        store: folder of finished cells.
    """
    for name, key in _listed(record).items():
        if name in absent:
            Path(stored_cell(store, key)).unlink(missing_ok=True)


def gone(record: Path, absent: Collection[str]) -> list[str]:
    """Those of the absent cells that were published."""
    return sorted(_listed(record).keys() & set(absent))


def _listed(record: Path) -> dict[str, str]:
    """File name -> key; nothing where there is no record."""
    return json.loads(record.read_text()) if record.exists() else {}


def names_in(folder: Path) -> set[str]:
    """Names in a folder, none where there is no folder.

    One system call for all, since a study has many thousand cells.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()


def wait_for_published(
    folders: Mapping[Path, Path], wanted: Collection[str], seconds: float
) -> None:
    """Wait until the cells that records list can be seen here, at most so long.

    Over NFS a folder that another machine wrote to may look older than the record of it.

    Args:
        folders: record -> folder of its cells; a record need not be there.
        wanted: names of cells; others are not waited for.
        seconds: after which the rest is given up.
    """
    deadline = time.monotonic() + seconds
    waiting = {folder: _listed(record).keys() & set(wanted) for record, folder in folders.items()}
    while waiting := {
        folder: names for folder, names in waiting.items() if not names <= names_in(folder)
    }:
        if time.monotonic() > deadline:
            return
        time.sleep(1)
