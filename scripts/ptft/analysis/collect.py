"""From per-example files to the ``cells`` table: one score per row, with its interval.

What was collected of each model is kept for the next collection, which then reads new models alone.
A part is one file per checkpoint and arm, with what its files say (``cell_scores.score_cells``),
and in its metadata a digest of all that it was made from. Tables are put together from parts, as a
stream, so that replicates of hundreds of thousands of cells need little memory.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import polars as pl
from typing_extensions import TypedDict

from ptft.analysis import cell_scores, statistics
from ptft.analysis.cell_scores import (
    KEY,
    KEY_SCHEMA,
    SCORE_SCHEMA,
    domain_of,
    schema,
    score_cells,
)
from ptft.files import closed, write_frame
from ptft.models.folder import hash_files
from ptft.paths import cell_file, cell_path

log = logging.getLogger(__name__)

CELLS_SCHEMA = schema(
    *("study", "model", "checkpoint", "step", "tokens", "arm", "method", "train_task", "swept"),
    *("setting", "seed", "derived", "strength", "family", "dataset", "domain", "kind"),
    *("format", "shots", *SCORE_SCHEMA),
)
# What a key says by itself, once the study is known.
DESCRIBED = {
    "checkpoint": ("checkpoint", "step", "tokens"),
    "arm": ("arm", "method", "train_task", "swept", "setting", "seed", "derived", "strength"),
    "dataset": ("dataset", "family", "kind"),
}


@closed
class CollectionSlice(TypedDict):
    """All that collecting needs of a study (``ptft.study.slices.collection_slice``)."""

    study: str
    model: str
    checkpoints: dict[str, dict[str, Any]]
    arms: dict[str, dict[str, Any]]
    datasets: dict[str, dict[str, Any]]
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
        there = _files_of(evaluations / checkpoint / arm) if is_scored(checkpoint, arm) else {}
        for cell in cells:
            if (file := there.get(cell_file(*cell[2:]))) is not None:
                models.setdefault((checkpoint, arm), {})[cell] = file
            else:
                missing.append((*cell, cell_path(evaluations, *cell)))
    table = pl.DataFrame(missing, schema=KEY_SCHEMA | {"path": pl.String}, orient="row")
    return Found(models, table.sort(*KEY))


def described(study: Mapping[str, Any], scored: pl.DataFrame) -> pl.DataFrame:
    """The ``cells`` table: scores, with what follows from their key and the study.

    Args:
        scored: key and scores, as from ``score_cells``.
    """
    rows = scored.select(*KEY, "scores").explode("scores", empty_as_null=False).unnest("scores")
    of_study = {"study": pl.lit(study["study"]), "model": pl.lit(study["model"])}
    arms, datasets = study["arms"], study["datasets"]
    named = {
        "checkpoint": [{"checkpoint": name, **told} for name, told in study["checkpoints"].items()],
        "arm": [{"arm": name, **told} for name, told in arms.items()],
        "dataset": [{"dataset": name, **told} for name, told in datasets.items()],
    }
    for key, told in named.items():
        names = DESCRIBED[key]
        told = [{name: row.get(name) for name in names} for row in told]
        rows = rows.join(pl.DataFrame(told, schema=schema(*names)), on=key, how="left")
    domains = [
        (arm, dataset, domain_of(told["train_task"], dataset, study))
        for (arm, told), dataset in product(arms.items(), datasets)
    ]
    about_pair = pl.DataFrame(domains, schema=schema("arm", "dataset", "domain"), orient="row")
    rows = rows.join(about_pair, on=["arm", "dataset"], how="left")
    return rows.with_columns(**of_study).select(*CELLS_SCHEMA).sort(*KEY, "metric")


def _files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> size and time of change of the files in a folder; empty without a folder."""
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat() for entry in entries}
    except OSError:
        return {}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


DIGEST = "made_from"
CELLS_AT_ONCE = 8_000
"""that are scored in one go: each takes R replicates and its examples in memory"""
ROWS_AT_ONCE = 1_024
"""of replicates, that are written in one go, and read"""
COMPRESSION: Literal["lz4"] = "lz4"
"""takes a third of the time of zstd to read"""
BASE = "base"
Model = tuple[str, str]


@dataclass(frozen=True)
class Parts:
    """The parts of a study.

    Attributes:
        study: the collection's slice.
        found: which cells have files.
        evaluations: folder of the per-example files.
        folder: of the parts.
    """

    study: Mapping[str, Any]
    found: Found
    evaluations: Path
    folder: Path

    def refresh(self) -> int:
        """Make the parts that are not there, or were made from something else; return how many.

        Raises:
            ValueError: a per-example file is broken.
        """
        stale = [model for model in sorted(self.found.models) if not self._is_fresh(model)]
        for models in self._batches(stale):
            # A tuned model's answers are compared with those of its base.
            read = {*models, *((checkpoint, BASE) for checkpoint, _ in models)}
            cells = [cell for model in read for cell in self.found.models.get(model, ())]
            scored = score_cells(self.study, self.evaluations, cells).sort(*KEY, "metric")
            by_model = scored.partition_by("checkpoint", "arm", as_dict=True)
            for model in models:
                write_frame(by_model[model], self._file(model), {DIGEST: self._digest(model)})
            log.info("%d models read, the last is %s", len(models), "/".join(models[-1]))
        return len(stale)

    def cells(self) -> pl.DataFrame:
        """The ``cells`` table."""
        return described(self.study, self._scan().select(*KEY, "scores").collect())

    def write_replicates(self, file: Path) -> None:
        """Write the table of replicates, in the order of its key.

        One row per cell: its key and main metric, columns of ``AUDIT_SCHEMA``, and R bootstrap
        means, paired within a dataset.
        """
        self._scan().drop("scores").sink_parquet(
            file, row_group_size=ROWS_AT_ONCE, compression=COMPRESSION, statistics=False
        )

    def _scan(self) -> pl.LazyFrame:
        # Each is sorted, and none holds another one's models: so are all of them.
        files = [self._file(model) for model in sorted(self.found.models)]
        return pl.scan_parquet(files, glob=False)

    def _is_fresh(self, model: Model) -> bool:
        file = self._file(model)
        if not file.exists():
            return False
        return pl.read_parquet_metadata(file).get(DIGEST) == self._digest(model)

    def _digest(self, model: Model) -> str:
        """Of all that decides a part: files by size and time, how they are read, the code."""
        checkpoint, arm = model
        own = self.found.models[model]
        base = self.found.models.get((checkpoint, BASE), {})
        datasets = {cell[2] for cell in own}
        about = self.study["datasets"]
        made_from = {
            "cells": sorted([*cell, *file] for cell, file in own.items()),
            "base": sorted([*cell, *file] for cell, file in base.items() if arm != BASE),
            "read": {
                name: (about[name]["kind"], about[name]["metric"], about[name].get("aside", False))
                for name in datasets
            },
            "bootstrap": self.study["bootstrap"],
            "code": _code(),
        }
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

    def _batches(self, models: list[Model]) -> Iterator[list[Model]]:
        """Models one after another, as many at once as ``CELLS_AT_ONCE`` allows."""
        batch: list[Model] = []
        cells = 0
        for model in models:
            more = len(self.found.models[model])
            if batch and cells + more > CELLS_AT_ONCE:
                yield batch
                batch, cells = [], 0
            batch.append(model)
            cells += more
        if batch:
            yield batch

    def _file(self, model: Model) -> Path:
        # An arm's name may hold dots.
        return self.folder / model[0] / f"{model[1]}.parquet"


@cache
def _code() -> str:
    """Digest of the modules that decide what is in a part."""
    modules = (cell_scores, statistics)
    return hash_files(Path(inspect.getfile(module)) for module in modules)
