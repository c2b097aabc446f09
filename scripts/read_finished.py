"""Read the finished cells of a study: from tables that others released, or from an archive."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reading", required=True, type=Path, help="what is read, JSON file")
    parser.add_argument("--results", required=True, type=Path, help="folder of the study")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from ptft.files.slice_files import read_slice
    from ptft.study.finished import ArchivedCells, ReleasedCells

    read_slice(args.reading, ArchivedCells | ReleasedCells).read_into(args.results)


if __name__ == "__main__":
    run_program(main)
