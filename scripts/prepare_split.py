"""Prepare one split of a dataset: read it, map its columns, drop unlabelled rows, draw."""

import argparse
import json
import sys
from pathlib import Path

from ptft.datasets import Unlabelled, labelled_splits, prepare
from ptft.jsonl import write_examples
from ptft.programs import run_program
from ptft.rows import DatasetError, read_rows


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, prepare the split, write examples and audit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder in the Hub's layout")
    parser.add_argument("--name", required=True, help="dataset and split, for example ids")
    parser.add_argument("--spec", type=json.loads, required=True, help="the study's slice, JSON")
    parser.add_argument("--output", type=Path, required=True, help="examples, JSON Lines")
    parser.add_argument("--audit", type=Path, required=True, help="what was found, JSON")
    args = parser.parse_args(argv)
    try:
        rows = read_rows(args.root, args.spec["dataset"], args.spec["split"])
        try:
            examples, audit = prepare(rows, args.spec, args.name)
        except Unlabelled as error:
            found = labelled_splits(args.root, args.spec)
            listed = ", ".join(f"{split} ({rows} rows)" for split, rows in found.items())
            sys.exit(f"{error}. Splits here that have labels: {listed or 'none'}")
    except DatasetError as error:
        sys.exit(str(error))
    write_examples(examples, args.output)
    args.audit.write_text(json.dumps(audit, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_program(main)
