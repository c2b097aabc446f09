"""Collect what the jobs of a study left into its tables `cells`, `arms` and `costs`.

A model whose files did not change is not read again.

Args:
    study: what is collected, JSON file
    evaluations: folder of the evaluations
    tables: folder to write into; also missing.csv, of cells without a file, and
        replicates.parquet, paired bootstrap means of every cell
    records: folder of the scored models' records
    parts: what was collected of each model; without, all are read
    pins: JSON file: list of the fetched checkpoints' pins
    arms: what tuned models were trained with, JSON file; without, there is no such table
    models: folder of tuned models
    trained: records of those that were deleted
    benchmarks: folder of benchmark files; without, there are no costs
    jobs: folder of jobs' records
"""

import logging
import tempfile
from itertools import product
from pathlib import Path

from ptft.analysis import tuned_models
from ptft.analysis.collect import CollectionSlice, Parts, find_cells
from ptft.analysis.costs import read_costs
from ptft.analysis.csv_tables import write_csv, write_table
from ptft.evaluation.records import require_cells
from ptft.files import read_slice
from ptft.hub.pins import fill_in
from ptft.paths import cell_file, cells_record
from ptft.runtime.programs import program

MOST_SECONDS = 60
"""until a file that another machine wrote is seen here: as long as Snakemake waits for outputs"""


@program
def main(
    study: Path,
    evaluations: Path,
    tables: Path,
    records: Path | None = None,
    parts: Path | None = None,
    pins: Path | None = None,
    arms: Path | None = None,
    models: Path = Path(),
    trained: Path | None = None,
    benchmarks: Path | None = None,
    jobs: Path = Path(),
) -> None:
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
    with tempfile.TemporaryDirectory() as nowhere:
        collected = Parts(asked, found, evaluations, parts or Path(nowhere))
        read = collected.refresh()
        write_table(collected.cells(), tables / "cells.parquet")
        collected.write_replicates(tables / "replicates.parquet")
    write_csv(found.missing, tables / "missing.csv")
    if arms:
        asked_arms = read_slice(arms, tuned_models.ArmsSlice)
        table = tuned_models.arms(asked_arms, models, trained)
        write_table(table, tables / "arms.parquet")
    if benchmarks:
        write_csv(read_costs(benchmarks, jobs), tables / "costs.csv")
    logging.info(
        "%d cells, %d missing; %d of %d models read", len(found.cells), len(found.missing), read,
        len(found.models),
    )  # fmt: skip
