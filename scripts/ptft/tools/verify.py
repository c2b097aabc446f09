"""Verify a study: each finding names a file, what is wrong, and what to do.

Everything is read and compared: fetched files with their pins, weights and data with the keys of
the cells scored with them, cells with the store, records with the study.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import cast

import polars as pl

from ptft import paths
from ptft.evaluation.cells import EvaluationPlan
from ptft.evaluation.job import EvaluationJob, ScoredArm, scored_arms
from ptft.evaluation.metrics import NEEDS
from ptft.evaluation.records import names_in, recorded_cells
from ptft.files import as_read
from ptft.hub.adopt import RECORD as ADOPTED
from ptft.hub.pins import CONVERTED, Pin
from ptft.models.folder import TRAINING_SUMMARY
from ptft.models.loading import Target
from ptft.study.grid import BASE, Grid
from ptft.study.slices import evaluation_slice
from ptft.tools.clean import unused_slices

# Wherever a model was scored: its keys hold one of these.
TARGETS = [
    Target(device, dtype)
    for device, dtype in product(("cpu", "cuda"), ("float32", "bfloat16", "float16"))
]
RERUN = "rerun snakemake with the study"
Model = tuple[str, str]


@dataclass(frozen=True)
class Finding:
    """Something wrong in a study."""

    path: Path
    what: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.way_out}"


@dataclass(frozen=True)
class Verification:
    """The checks of one study.

    Attributes:
        grid: the study.
        folder: working directory of the study.
    """

    grid: Grid
    folder: Path = Path()

    def findings(self) -> Iterator[Finding]:
        """All findings, check by check."""
        yield from self._pins()
        wanted = {paths.cell_file(*score) for score in self.grid.scores()}
        for checkpoint, arm in self.grid.models():
            yield from self._cells((checkpoint, arm.name), wanted)
        yield from self._keys()
        yield from self._slices()
        yield from self._table(wanted)

    def _pins(self) -> Iterator[Finding]:
        """Compare fetched files with the hashes that the Hub published."""
        for name in self.grid.fetched():
            folder, pin_file = self.folder / name, self.folder / paths.pin(name)
            fetch_again = "run `snakemake fetch` with the study"
            if not pin_file.exists() or not folder.exists():
                absent = folder if pin_file.exists() else pin_file
                yield Finding(absent, "is not there", fetch_again)
                continue
            try:
                pin = Pin.read(pin_file)
                places, differences = pin.expected(folder), pin.differences(folder)
            except (ValueError, KeyError, TypeError) as error:
                lost = f"remove it and {folder}, then {fetch_again}"
                yield Finding(pin_file, f"is no pin ({error})", lost)
                continue
            again = f"remove {folder}, then {fetch_again}"
            for place, wrong in differences.items():
                yield Finding(folder / place, f"not as {pin_file} says: {wrong}", again)
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                own = file.relative_to(folder).as_posix()
                if own not in {*places, CONVERTED} and not own.startswith(f"{NEEDS}/"):
                    yield Finding(file, f"is not among the files of {pin_file}", "remove it")

    def _cells(self, model: Model, wanted: set[str]) -> Iterator[Finding]:
        """Check a model's record, and the files that it lists against the store."""
        record = self.folder / self.grid.results.scored_model(*model)
        folder = self.folder / self.grid.results.evaluation(*model)
        if not record.exists():
            yield Finding(record, "is not there: the model was not scored to its end", RERUN)
            return
        try:
            keys = recorded_cells(record)
        except ValueError as error:
            yield Finding(record, f"is no record ({error})", f"remove it, then {RERUN}")
            return
        for name in sorted(wanted - keys.keys()):
            yield Finding(record, f"does not list {name}, which the study asks for", RERUN)
        for name in sorted(wanted & keys.keys()):
            yield from self._cell(record, folder / name, keys[name])
        for name in sorted(names_in(folder) - keys.keys()):
            yield Finding(folder / name, f"is not among the cells of {record}", "remove it")

    def _cell(self, record: Path, file: Path, key: str) -> Iterator[Finding]:
        """Check that a file is complete and equals the stored cell of its recorded key."""
        stored = self.folder / paths.stored_cell(self.grid.results.cell_store, key)
        again = f"remove it, {stored} and {record}, then {RERUN}"
        if not file.exists():
            yield Finding(file, "is not there", f"remove {record}, then {RERUN}")
            return
        try:
            rows = len(pl.read_parquet(file))
        except (pl.exceptions.PolarsError, OSError) as error:
            told = str(error).splitlines()[0]
            yield Finding(file, f"can't be read ({told})", again)
            return
        if rows == 0:
            yield Finding(file, "holds no example", again)
        if not stored.exists():
            yield Finding(
                stored, f"is not there, the cell of {file}", f"remove {record}, then {RERUN}"
            )
        elif not file.samefile(stored) and file.read_bytes() != stored.read_bytes():
            yield Finding(file, f"is another one than {stored}, which has its key", again)

    def _keys(self) -> Iterator[Finding]:
        """Compare recorded keys with those of the current weights, data and settings."""
        for checkpoint in self.grid.checkpoints:
            start = self.folder / self.grid.checkpoint_folder(checkpoint)
            for name, arm in self.grid.arms.items():
                if arm.parent or checkpoint not in self.grid.checkpoints_of(name):
                    continue
                tuned = self.folder / self.grid.results.tuned(checkpoint, name)
                model = start if name == BASE else tuned
                if name != BASE and not self.grid.study.keep_models and not model.exists():
                    continue  # it went when it was scored
                summary = ADOPTED if arm.adopted else TRAINING_SUMMARY
                if name != BASE and not (model / summary).exists():
                    yield Finding(model, "has no finished model", RERUN)
                    continue
                yield from self._model_keys(checkpoint, name, model, start)

    def _model_keys(self, checkpoint: str, arm: str, model: Path, start: Path) -> Iterator[Finding]:
        plan = cast(EvaluationPlan, as_read(evaluation_slice(self.grid, arm)))
        results = self.grid.results
        job = EvaluationJob(
            model, self.folder / results.datasets, Path(), self.folder / results.cell_store,
            self.folder / results.scored_model(checkpoint, arm),
            self.folder / results.evaluation(checkpoint, arm), start,
        )  # fmt: skip
        try:
            tried = [list(scored_arms(job, plan, target)) for target in TARGETS]
        except (ValueError, OSError) as error:
            yield Finding(model, str(error), f"remove it, then {RERUN}")
            return
        for arms in zip(*tried, strict=True):
            yield from self._compare(arms, model)

    def _compare(self, arms: tuple[ScoredArm, ...], model: Path) -> Iterator[Finding]:
        """Compare a record's keys with the current ones of its arms, on each kind of machine."""
        record = arms[0].record
        try:
            recorded = recorded_cells(record)
        except ValueError:
            return  # that was said before
        differing = []
        for arm in arms:
            keys = {cell: key for cell, key in arm.keys.items() if cell.file in recorded}
            differing.append([c for c, key in keys.items() if recorded[c.file] != key])
        fewest = min(differing, key=len)
        if fewest and len(fewest) == len(recorded):
            what = f"is not the model whose cells {record} lists (weights, tokenizer or settings)"
            yield Finding(model, what, f"put the old files back, or {RERUN}")
        elif fewest:
            datasets = sorted({cell.dataset for cell in fewest})
            what = f"{len(fewest)} cells were scored with other data or settings than those now ("
            yield Finding(record, f"{what}{', '.join(datasets)})", RERUN)

    def _slices(self) -> Iterator[Finding]:
        """Slices of evaluations by which no cell was scored, and none will be."""
        for file in unused_slices(self.grid, self.folder):
            yield Finding(file, "is named by no record", "remove it, or call clean_study.py")

    def _table(self, wanted: set[str]) -> Iterator[Finding]:
        """Compare the table of cells with the study."""
        file = self.folder / self.grid.results.table("cells")
        if not file.exists():
            yield Finding(file, "is not there: the cells were not collected", RERUN)
            return
        try:
            rows = pl.read_parquet(file).filter("main")
        except pl.exceptions.PolarsError as error:
            yield Finding(file, f"can't be read ({error})", f"remove it, then {RERUN}")
            return
        keys = rows.select("checkpoint", "arm", "dataset", "format", "shots").rows()
        found = {(*key[:2], paths.cell_file(*key[2:])) for key in keys}
        asked = {
            (checkpoint, arm.name, name)
            for checkpoint, arm in self.grid.models()
            for name in wanted
        }
        if found != asked:
            lacks, more = len(asked - found), len(found - asked)
            what = f"lacks {lacks} cells of the study and has {more} others"
            yield Finding(file, what, f"remove it, then {RERUN}")
