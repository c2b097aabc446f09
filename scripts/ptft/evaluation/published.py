"""Which cells of a model were put at their declared places, and under which keys.

Snakemake deletes all outputs of a job that it starts again, so a job can't tell what a person has
deleted or moved away. This record can: one small file a checkpoint and arm.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from ptft.paths import stored_cell


def write_published(keys: Mapping[str, str], record: Path) -> None:
    """Note the file name and the key of every cell of a model; the record is whole or absent."""
    record.parent.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix(".partial")
    partial.write_text(json.dumps(keys, indent=0, sort_keys=True))
    partial.replace(record)


def forget_gone(record: Path, wanted: Collection[str], found: Collection[str], store: Path) -> None:
    """Take cells from the store whose files are gone since they were published.

    Where none of them is left it may have been Snakemake, which deletes them when it counts a job
    as failed after its end: then the store keeps them.

    Args:
        record: as written by ``write_published``.
        wanted: file names of all cells that the study asks of the model.
        found: file names that are there.
        store: folder of finished cells.
    """
    keys = json.loads(record.read_text())
    published = keys.keys() & set(wanted)
    gone = published - set(found)
    if gone != published:
        for name in gone:
            Path(stored_cell(store, keys[name])).unlink(missing_ok=True)
