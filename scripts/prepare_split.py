"""Prepare one split of a dataset: read it, map its columns, drop unlabelled rows, draw."""

import json
import sys
from pathlib import Path

from ptft.data.jsonl import write_examples
from ptft.data.mapping import used_columns
from ptft.data.prepare import RowError, SplitSlice, Unlabelled, labelled_splits, prepare
from ptft.data.rows import read_rows, row_place, split_files, split_name
from ptft.files import read_slice
from ptft.models.folder import hash_files
from ptft.runtime.contents import Note, looks
from ptft.runtime.programs import command_line


@command_line
def main(
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
    paths = split_files(root, asked["dataset"]).get(split_name(asked["split"]), [])
    files = [Path(path) for path in paths]
    rows = read_rows(root, asked["dataset"], asked["split"], used_columns(asked["dataset"]))
    try:
        examples, found = prepare(rows, asked, name)
    except Unlabelled as error:
        labelled = labelled_splits(root, asked)
        listed = ", ".join(f"{split} ({rows} rows)" for split, rows in labelled.items())
        sys.exit(f"error: {error}. Splits here that have labels: {listed or 'none'}")
    except RowError as error:
        place = row_place(root, asked["dataset"], asked["split"], error.number)
        sys.exit(f"error: {place}: {error}")
    for warning in found["warnings"]:
        print(f"{name}: {warning}")  # not into the log: at once
    write_examples(examples, output)
    audit.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if seen is not None:
        Note(looks(files), hash_files(files), told).write(seen)


if __name__ == "__main__":
    raise SystemExit(main())
