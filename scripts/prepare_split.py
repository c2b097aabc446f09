"""Prepare one split of a dataset: read it, map its columns, drop unlabelled rows, draw."""

import argparse
import json
import sys
from pathlib import Path

from ptft.data.jsonl import write_examples
from ptft.data.mapping import used_columns
from ptft.data.prepare import RowError, SplitSlice, Unlabelled, labelled_splits, prepare
from ptft.data.rows import DatasetError, read_rows, row_place
from ptft.errors import StudyError
from ptft.files.slice_files import read_slice
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, prepare the split, write examples and audit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder in the Hub's layout")
    parser.add_argument("--name", required=True, help="dataset and split, for example ids")
    parser.add_argument("--spec", type=Path, required=True, help="the study's slice, JSON file")
    parser.add_argument("--output", type=Path, required=True, help="examples, JSON Lines")
    parser.add_argument("--audit", type=Path, required=True, help="what was found, JSON")
    args = parser.parse_args(argv)
    try:
        spec = read_slice(args.spec, SplitSlice)
        used = used_columns(spec["dataset"])
        rows = read_rows(args.root, spec["dataset"], spec["split"], used)
        try:
            examples, audit = prepare(rows, spec, args.name)
        except Unlabelled as error:
            found = labelled_splits(args.root, spec)
            listed = ", ".join(f"{split} ({rows} rows)" for split, rows in found.items())
            sys.exit(f"error: {error}. Splits here that have labels: {listed or 'none'}")
    except RowError as error:
        place = row_place(args.root, spec["dataset"], spec["split"], error.number)
        sys.exit(f"error: {place}: {error}")
    except (DatasetError, StudyError) as error:
        sys.exit(f"error: {error}")
    for warning in audit["warnings"]:
        print(f"{args.name}: {warning}")  # not into the log: at once
    write_examples(examples, args.output)
    args.audit.write_text(json.dumps(audit, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_program(main)
