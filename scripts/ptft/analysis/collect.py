"""From per-example files to the ``cells`` table: one score per row, with its interval."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import TypedDict

from ptft.analysis.cell_scores import KEY, KEY_SCHEMA, SCORE_SCHEMA, domain_of, score_cells
from ptft.files.slice_files import closed
from ptft.paths import cell_file, cell_path

log = logging.getLogger(__name__)

CELLS_SCHEMA: dict[str, pl.DataType] = {
    "study": pl.String(),
    "model": pl.String(),
    "checkpoint": pl.String(),
    "step": pl.Int64(),
    "tokens": pl.Int64(),
    "arm": pl.String(),
    "method": pl.String(),
    "train_task": pl.String(),
    "swept": pl.String(),
    "setting": pl.String(),
    "seed": pl.Int64(),
    "derived": pl.String(),
    "strength": pl.Float64(),
    "family": pl.String(),
    "dataset": pl.String(),
    "domain": pl.String(),
    "kind": pl.String(),
    "format": pl.String(),
    "shots": pl.Int64(),
    **SCORE_SCHEMA,
}
# What a key says by itself, once the study is known.
DESCRIBED = {
    "checkpoint": ("checkpoint", "step", "tokens"),
    "arm": ("arm", "method", "train_task", "swept", "setting", "seed", "derived", "strength"),
    "dataset": ("dataset", "family", "kind"),
}


@closed
class CollectionSlice(TypedDict):
    """What collecting needs of a study (``ptft.study.slices.collection_slice``)."""

    study: str
    model: str
    checkpoints: dict[str, dict[str, Any]]
    arms: dict[str, dict[str, Any]]
    datasets: dict[str, dict[str, str]]
    in_domain: dict[str, list[str]]
    task_family: dict[str, str]
    scores: list[tuple[str, str, int]]
    bootstrap: dict[str, int]


@dataclass(frozen=True)
class Found:
    """The cells of a study that have a per-example file, and those that have not."""

    models: dict[tuple[str, str], dict[tuple, tuple[int, int]]]
    """(checkpoint, arm) -> key of a cell -> size and time of its file; models with files only"""
    missing: pl.DataFrame
    """The other cells: their key and expected path."""

    @property
    def cells(self) -> list[tuple]:
        """Keys of cells with a file."""
        return [cell for cells in self.models.values() for cell in cells]


@dataclass(frozen=True)
class Collected:
    """What :func:`collect` returns."""

    cells: pl.DataFrame
    """One row per cell and metric, columns of ``CELLS_SCHEMA``."""
    replicates: pl.DataFrame
    """One row per cell and metric (the main one and those of ``AGAINST_BASE``): its key, columns
    of ``AUDIT_SCHEMA`` (with the main metric), and R bootstrap means, paired within a dataset."""
    missing: pl.DataFrame
    """Cells of the study without a per-example file: their key and expected path."""


def study_cells(study: Mapping[str, Any]) -> list[tuple]:
    """Every cell of the study, in the order of ``KEY``: checkpoints x arms x scores.

    An arm with ``checkpoints`` exists only there.
    """
    every = product(study["checkpoints"], study["arms"].items(), study["scores"])
    return [
        (checkpoint, arm, *score)
        for checkpoint, (arm, about), score in every
        if checkpoint in about.get("checkpoints", study["checkpoints"])
    ]


def find_cells(
    study: Mapping[str, Any],
    evaluations: Path,
    is_scored: Callable[[str, str], bool] = lambda checkpoint, arm: True,
) -> Found:
    """Look for the file of every cell, with one listing per model.

    Args:
        is_scored: whether the files of a checkpoint and arm count; else its cells are missing.

    Raises:
        ValueError: a cell is listed twice.
    """
    counts = Counter(study_cells(study))
    twice = [cell for cell, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"study {study['study']}: cell {dict(zip(KEY, twice[0], strict=True))} is listed "
            f"{counts[twice[0]]} times ({len(twice)} such cells); list each once"
        )
    models: dict[tuple[str, str], dict[tuple, tuple[int, int]]] = {}
    missing: list[tuple] = []
    for (checkpoint, arm), cells in groupby(counts, key=itemgetter(0, 1)):
        there = _files(evaluations / checkpoint / arm) if is_scored(checkpoint, arm) else {}
        for cell in cells:
            if (file := there.get(cell_file(*cell[2:]))) is not None:
                models.setdefault((checkpoint, arm), {})[cell] = file
            else:
                missing.append((*cell, cell_path(evaluations, *cell)))
    schema = KEY_SCHEMA | {"path": pl.String()}
    return Found(models, pl.DataFrame(missing, schema=schema, orient="row").sort(*KEY))


def collect(study: Mapping[str, Any], evaluations: Path) -> Collected:
    """Score every cell of ``study`` (the JSON slice) from its per-example file, all at once.

    Raises:
        ValueError: a cell is listed twice, or a file is broken.
    """
    found = find_cells(study, evaluations)
    scored = score_cells(study, evaluations, found.cells).sort(*KEY, "metric")
    return Collected(described(study, scored), scored.drop("scores"), found.missing)


def described(study: Mapping[str, Any], scored: pl.DataFrame) -> pl.DataFrame:
    """The ``cells`` table: scores, with what follows from their key and the study.

    Args:
        scored: key and scores, as from ``score_cells``.
    """
    rows = scored.select(*KEY, "scores").explode("scores", empty_as_null=False).unnest("scores")
    about = {"study": pl.lit(study["study"]), "model": pl.lit(study["model"])}
    arms, datasets = study["arms"], study["datasets"]
    named = {
        "checkpoint": [{"checkpoint": name, **told} for name, told in study["checkpoints"].items()],
        "arm": [{"arm": name, **told} for name, told in arms.items()],
        "dataset": [{"dataset": name, **told} for name, told in datasets.items()],
    }
    for key, told in named.items():
        schema = {name: CELLS_SCHEMA[name] for name in DESCRIBED[key]}
        told = [{name: row.get(name) for name in schema} for row in told]
        rows = rows.join(pl.DataFrame(told, schema=schema), on=key, how="left")
    domains = [
        (arm, dataset, domain_of(told["train_task"], dataset, study))
        for (arm, told), dataset in product(arms.items(), datasets)
    ]
    schema = {name: CELLS_SCHEMA[name] for name in ("arm", "dataset", "domain")}
    rows = rows.join(
        pl.DataFrame(domains, schema=schema, orient="row"), on=["arm", "dataset"], how="left"
    )
    return rows.with_columns(**about).select(*CELLS_SCHEMA).sort(*KEY, "metric")


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> size and time of change of the files in a folder; empty without a folder."""
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat() for entry in entries}
    except OSError:
        return {}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}
