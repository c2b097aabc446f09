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

from ptft.paths import replacing

TOLD = ("labels_without_gold", "chosen_without_gold", "scored_plainly")
"""notes of a cell's file that its model's record repeats"""


class CellsGoneError(RuntimeError):
    """Cells were deleted or moved after they were scored; the message says how to mend that."""


def write_cells_record(
    keys: Mapping[str, str],
    record: Path,
    plan: Path | None = None,
    notes: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Note the file name and the key of every cell of a model; the record is whole or absent.

    Args:
        plan: slice of the study that asked for them.
        notes: file name -> what a reader of the cell's score must know (``TOLD``).
    """
    content = {"slice": None if plan is None else str(plan), "cells": dict(keys)}
    content |= {"notes": dict(notes)} if notes else {}
    with replacing(record) as draft:
        draft.write_text(json.dumps(content, indent=0, sort_keys=True))


def recorded_cells(record: Path) -> dict[str, str]:
    """File name -> key of a model's cells; nothing where there is no record.

    Raises:
        ValueError: the file is no record.
    """
    return dict(_read(record)["cells"])


def recorded_slice(record: Path) -> Path | None:
    """The slice that a record's cells were scored by; None where nothing, or no record, tells."""
    try:
        plan = _read(record)["slice"]
    except ValueError:  # cut short, say; `verify` names it
        return None
    return None if plan is None else Path(plan)


def _read(record: Path) -> dict:
    if not record.exists():
        return {"slice": None, "cells": {}}
    content = json.loads(record.read_text())
    if not isinstance(content, dict) or content.keys() - {"notes"} != {"slice", "cells"}:
        raise ValueError(f"expected a slice and cells, found {str(content)[:60]}")
    return content


def names_in(folder: Path) -> set[str]:
    """Names in a folder, none where there is no folder.

    One system call for all, since a study has many thousand cells.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()


def require_cells(folders: Mapping[Path, Path], wanted: Collection[str], seconds: float) -> None:
    """Wait until the cells that records list can be seen here, at most so long.

    Over NFS a folder that another machine wrote to may look older than the record of it.

    Args:
        folders: record -> folder of its cells; a record need not be there.
        wanted: names of cells; others are not waited for.
        seconds: after which the rest counts as deleted.

    Raises:
        CellsGoneError: naming a cell, and the command after which its job runs again.
    """
    deadline = time.monotonic() + seconds
    listed = {record: recorded_cells(record).keys() & set(wanted) for record in folders}
    while gone := {
        record: absent
        for record, names in listed.items()
        if (absent := names - names_in(folders[record]))
    }:
        if time.monotonic() > deadline:
            record, absent = next(iter(gone.items()))
            cells, records = sum(map(len, gone.values())), " ".join(map(str, gone))
            more = f" and {cells - 1} more cells" if cells > 1 else ""
            raise CellsGoneError(
                f"{folders[record] / min(absent)}{more}: gone since the evaluation; "
                f"`rm {records}` and call snakemake again, which puts them back"
            )
        time.sleep(1)
