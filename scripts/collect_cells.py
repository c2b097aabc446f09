"""Collect what the jobs of a study left into its tables `cells`, `arms` and `costs`.

A model whose files did not change is not read again. Beside the tables are missing.csv, of cells
without a file, and replicates.parquet, paired bootstrap means of every cell.

Args:
    study: what is collected, JSON file
    arms: what tuned models were trained with, JSON file
    pins: JSON file: list of the fetched checkpoints' pins
"""

import logging
from itertools import product
from pathlib import Path

from ptft.analysis.collect import CollectionSlice
from ptft.analysis.first_tables import write_first_tables
from ptft.analysis.tuned_models import ArmsSlice
from ptft.evaluation.records import require_cells
from ptft.files import read_slice
from ptft.hub.pins import fill_in
from ptft.paths import Results, cell_file
from ptft.runtime.programs import program

MOST_SECONDS = 60
"""until a file that another machine wrote is seen here: as long as Snakemake waits for outputs"""


@program
def main(study: Path, arms: Path, pins: Path) -> None:
    asked = read_slice(study, CollectionSlice)
    fill_in(asked["checkpoints"], read_slice(pins, list[Path]))
    results = Results(asked["study"])
    folders = {
        Path(results.scored_model(*model)): Path(results.evaluation(*model))
        for model in product(asked["checkpoints"], asked["arms"])
    }
    require_cells(folders, [cell_file(*score) for score in asked["scores"]], MOST_SECONDS)
    found, read = write_first_tables(
        asked, read_slice(arms, ArmsSlice), Path(results.tables), Path(results.collected)
    )
    logging.info(
        "%d cells, %d missing; %d of %d models read", len(found.cells), len(found.missing), read,
        len(found.models),
    )  # fmt: skip
