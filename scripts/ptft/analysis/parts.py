"""What was collected of each model, kept for the next collection: that reads new models alone.

A part is a file a checkpoint and arm, with what its files say (``cell_scores.score_cells``), and a
digest of all that it was made from in its metadata. Tables are put together from parts, as a
stream, so that replicates of hundreds of thousands of cells need little memory.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ptft.analysis import cell_scores, intervals, per_example, replicates, statistics
from ptft.analysis.cell_scores import KEY, domain_of, score_cells
from ptft.analysis.collect import Found, described
from ptft.files.parquet_files import write_frame
from ptft.models.folder import hash_files

log = logging.getLogger(__name__)

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
        """Write the table of replicates (``Collected.replicates``), in the order of its key."""
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
        about, task = self.study["datasets"], self.study["arms"][arm]["train_task"]
        made_from = {
            "cells": sorted([*cell, *file] for cell, file in own.items()),
            "base": sorted([*cell, *file] for cell, file in base.items() if arm != BASE),
            "read": {
                name: (
                    about[name]["kind"],
                    about[name]["metric"],
                    domain_of(task, name, self.study),
                )
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
    """Of the modules that decide what is in a part."""
    modules = (cell_scores, intervals, per_example, replicates, statistics)
    return hash_files(Path(inspect.getfile(module)) for module in modules)
