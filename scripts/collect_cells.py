"""Collect the per-example files of a study into its ``cells`` table.

A model whose files are as they were is not read again.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from itertools import product
from pathlib import Path

from ptft.runtime.programs import run_program

MOST_SECONDS = 60
"""until a file that another machine wrote is seen here: as long as Snakemake waits for outputs"""


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, collect, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, type=Path, help="the study's slice, JSON file")
    parser.add_argument("--evaluations", required=True, type=Path, help="folder of the evaluations")
    parser.add_argument("--records", type=Path, help="folder of the scored models' records")
    parser.add_argument(
        "--parts", type=Path, help="what was collected of each model; without, all are read"
    )
    parser.add_argument("--output", required=True, type=Path, help="cells.parquet")
    parser.add_argument("--csv", required=True, type=Path, help="cells.csv")
    parser.add_argument(
        "--replicates", required=True, type=Path, help="paired bootstrap means of every cell"
    )
    parser.add_argument("--missing", required=True, type=Path, help="CSV of cells without a file")
    parser.add_argument(
        "--pins", type=Path, help="JSON file: list of the fetched checkpoints' pins"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from ptft.analysis.collect import CollectionSlice, Parts, find_cells
    from ptft.analysis.csv_tables import write_csv
    from ptft.evaluation.published import wait_for_published
    from ptft.files.slice_files import read_slice
    from ptft.hub.pins import fill_in
    from ptft.paths import cell_file, cells_record

    study = read_slice(args.study, CollectionSlice)
    fill_in(study["checkpoints"], read_slice(args.pins, list[Path]) if args.pins else [])
    if args.records is not None:
        folders = {
            Path(cells_record(args.records, *model)): args.evaluations.joinpath(*model)
            for model in product(study["checkpoints"], study["arms"])
        }
        names = [cell_file(*score) for score in study["scores"]]
        wait_for_published(folders, names, MOST_SECONDS)
    found = find_cells(study, args.evaluations)
    if not found.models:
        raise SystemExit(
            f"error: no per-example file of the study under {args.evaluations}: evaluate first"
        )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as nowhere:
        parts = Parts(study, found, args.evaluations, args.parts or Path(nowhere))
        read = parts.refresh()
        cells = parts.cells()
        cells.write_parquet(args.output)
        write_csv(cells, args.csv)
        parts.write_replicates(args.replicates)
    write_csv(found.missing, args.missing)
    logging.info(
        "%d cells, %d missing; %d of %d models read", len(found.cells), len(found.missing), read,
        len(found.models),
    )  # fmt: skip


if __name__ == "__main__":
    run_program(main)
