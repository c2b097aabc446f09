"""The tables that all others are made from: `cells`, replicates, `missing`, `arms` and `costs`."""

from collections.abc import Callable
from pathlib import Path

from ptft.analysis.collect import CollectionSlice, Found, Parts, find_cells
from ptft.analysis.costs import read_costs
from ptft.analysis.csv_tables import write_csv, write_table
from ptft.analysis.tuned_models import ArmsSlice, arms
from ptft.paths import Results


class NothingYetError(RuntimeError):
    """The study has no cell yet."""


def write_first_tables(
    study: CollectionSlice,
    models: ArmsSlice,
    tables: Path,
    parts: Path,
    folder: Path = Path(),
    is_scored: Callable[[str, str], bool] = lambda checkpoint, arm: True,
) -> tuple[Found, int]:
    """Collect what the jobs of a study left.

    Args:
        tables: folder to write into.
        parts: what was collected of each model; one whose files did not change is not read again.
        folder: in which the study was run.
        is_scored: whether the files of a checkpoint and arm count; else its cells are missing.

    Returns:
        the cells that are there, and how many models were read.

    Raises:
        NothingYetError: there is no cell yet.
        ValueError: a cell's file is broken.
    """
    results = Results(study["study"])
    evaluations = folder / results.evaluations
    found = find_cells(study, evaluations, is_scored)
    if not found.models:
        raise NothingYetError(
            f"{evaluations}: none of the study's {len(found.missing):,} cells is there yet; "
            "look again when a first model is evaluated"
        )
    collected = Parts(study, found, evaluations, parts)
    read = collected.refresh()
    write_table(collected.cells(), tables / "cells.parquet")
    collected.write_replicates(tables / "replicates.parquet")
    write_csv(found.missing, tables / "missing.csv")
    write_table(
        arms(models, folder / results.models, folder / results.trained), tables / "arms.parquet"
    )
    costs = read_costs(folder / results.benchmarks, folder / results.job_records())
    write_csv(costs, tables / "costs.csv")
    return found, read
