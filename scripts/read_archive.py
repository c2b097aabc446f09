"""Unpack the scores of an archived study, and what its pages tell of how they came about."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, unpack, check the columns of the cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", required=True, type=Path)
    parser.add_argument("--members", required=True, type=Path, help="list of them, JSON file")
    parser.add_argument("--results", required=True, type=Path, help="folder of the study")
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.analysis.collect import CELLS_SCHEMA
    from ptft.files.archive import ArchiveError, unpack
    from ptft.files.slice_files import read_slice

    members = set(read_slice(args.members, list[str]))
    unpack(args.archive, members.__contains__, args.results)
    found = pl.read_parquet_schema(args.results / "tables" / "cells.parquet")
    if dict(found) != dict(CELLS_SCHEMA):
        other = sorted(map(str, set(found.items()) ^ set(dict(CELLS_SCHEMA).items())))
        raise ArchiveError(
            f"{args.archive}: tables/cells.parquet has other columns than this workflow reads: "
            f"{', '.join(other)}; read it with the version of the workflow that wrote it"
        )


if __name__ == "__main__":
    run_program(main)
