"""Collect the per-example files of a study; a model whose files did not change is not read.

Args:
    study: the study's slice, JSON file
    evaluations: folder of the evaluations
    output: cells.parquet
    csv: cells.csv
    replicates: paired bootstrap means of every cell, to write
    missing: CSV of cells without a file, to write
    records: folder of the scored models' records
    parts: what was collected of each model; without, all are read
    pins: JSON file: list of the fetched checkpoints' pins
"""

import logging
import tempfile
from itertools import product
from pathlib import Path

from ptft.runtime.programs import program

MOST_SECONDS = 60
"""until a file that another machine wrote is seen here: as long as Snakemake waits for outputs"""


@program
def main(
    study: Path,
    evaluations: Path,
    output: Path,
    csv: Path,
    replicates: Path,
    missing: Path,
    records: Path | None = None,
    parts: Path | None = None,
    pins: Path | None = None,
) -> None:
    from ptft.analysis.collect import CollectionSlice, Parts, find_cells
    from ptft.analysis.csv_tables import write_csv
    from ptft.evaluation.records import require_cells
    from ptft.files import read_slice
    from ptft.hub.pins import fill_in
    from ptft.paths import cell_file, cells_record

    asked = read_slice(study, CollectionSlice)
    fill_in(asked["checkpoints"], read_slice(pins, list[Path]) if pins else [])
    if records is not None:
        folders = {
            Path(cells_record(records, *model)): evaluations.joinpath(*model)
            for model in product(asked["checkpoints"], asked["arms"])
        }
        names = [cell_file(*score) for score in asked["scores"]]
        require_cells(folders, names, MOST_SECONDS)
    found = find_cells(asked, evaluations)
    if not found.models:
        raise SystemExit(
            f"error: no per-example file of the study under {evaluations}: evaluate first"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as nowhere:
        collected = Parts(asked, found, evaluations, parts or Path(nowhere))
        read = collected.refresh()
        cells = collected.cells()
        cells.write_parquet(output)
        write_csv(cells, csv)
        collected.write_replicates(replicates)
    write_csv(found.missing, missing)
    logging.info(
        "%d cells, %d missing; %d of %d models read", len(found.cells), len(found.missing), read,
        len(found.models),
    )  # fmt: skip
