"""Files of a study that may be deleted, and how much disk space that frees.

A finished study needs none of it: after deleting all, nothing would run.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import yaml

from ptft import paths
from ptft.evaluation.records import names_in, recorded_cells, recorded_slice
from ptft.files import Slices
from ptft.hub.pins import SUFFIX, pinned_folder
from ptft.models.folder import TRAINING_SUMMARY
from ptft.planning.jobs import EVALUATE
from ptft.study.grid import Grid
from ptft.study.slices import evaluation_slice

REASONS = {
    "states": "of trainings that have ended",
    "models": "fine-tuned, that the study does not ask for",
    "cells": "and records, that the study does not ask for",
    "slices": "of evaluations, by which no cell was scored",
    "collected": "and previews, made again when needed",
    "logs": "of jobs",
    "fetched": "checkpoints and datasets of no study",
}
Model = tuple[str, str]


@dataclass(frozen=True)
class Kind:
    """Files that may be deleted, for one of ``REASONS``."""

    name: str
    places: list[Path]
    """files and folders"""

    def __str__(self) -> str:
        freed, more = f"{self.freed / 2**30:>9.3f} GiB", " …" if len(self.places) > 1 else ""
        return (
            f"{self.name:<10} {len(self.places):>7,} {freed}  {REASONS[self.name]}\n"
            f"           {self.places[0]}{more}"
        )

    @property
    def freed(self) -> int:
        """Bytes freed on the disk: a file counts if its last link is deleted."""
        links: Counter[tuple[int, int]] = Counter()
        sizes = {}
        for file in _files(self.places):
            stat = file.lstat()
            links[stat.st_dev, stat.st_ino] += 1
            sizes[stat.st_dev, stat.st_ino] = (stat.st_nlink, stat.st_size)
        return sum(size for inode, (of, size) in sizes.items() if links[inode] >= of)


@dataclass(frozen=True)
class Deletable:
    """Files of a study that may be deleted.

    Attributes:
        grid: the study.
        folder: working directory of the study.
    """

    grid: Grid
    folder: Path = Path()

    def kinds(self) -> list[Kind]:
        """All that may be deleted, by reason; reasons without files are left out."""
        found = {
            "states": self._states(),
            "models": self._models(),
            "cells": self._cells(),
            "slices": unused_slices(self.grid, self.folder),
            "collected": self._collected(),
            "logs": [*self._there(f"{self.grid.results.root}/logs")],
            "fetched": self._fetched(),
        }
        return [Kind(name, places) for name, places in found.items() if places]

    @cached_property
    def _asked(self) -> set[Model]:
        return {(checkpoint, arm.name) for checkpoint, arm in self.grid.models()}

    def _states(self) -> list[Path]:
        """States of finished trainings; an unfinished one resumes from its state."""
        found = []
        for model, state in self._by_model(f"{self.grid.results.root}/state/finetune"):
            summary = self.folder / self.grid.results.tuned(*model) / TRAINING_SUMMARY
            record = self.folder / self.grid.results.scored_model(*model)
            if summary.exists() or record.exists() or model not in self._asked:
                found.append(state)
        return found

    def _models(self) -> list[Path]:
        folders = (self.grid.results.models, self.grid.results.trained)
        return [
            place
            for folder in folders
            for model, place in self._by_model(folder)
            if model not in self._asked
        ]

    def _cells(self) -> list[Path]:
        """Files and records of cells that the study no longer has, and unused stored cells."""
        wanted = {paths.cell_file(*score) for score in self.grid.scores()}
        places, keys = [], set()
        for checkpoint, file in self._below(self.grid.results.scored_models):
            model = (checkpoint, file.stem)
            if model not in self._asked:
                places.append(file)
                continue
            keys |= {key for name, key in recorded_cells(file).items() if name in wanted}
        for model, folder in self._by_model(self.grid.results.evaluations):
            if model not in self._asked:
                places.append(folder)
            else:
                places += [folder / name for name in sorted(names_in(folder) - wanted)]
        # A model without a record may be at work: its cells wait in the store.
        if all(self._is_scored(model) for model in self._asked):
            store = self.folder / self.grid.results.cell_store
            kept = {Path(paths.stored_cell(store, key)).name for key in keys}
            places += [store / name for name in sorted(names_in(store) - kept)]
        return places

    def _is_scored(self, model: Model) -> bool:
        return (self.folder / self.grid.results.scored_model(*model)).exists()

    def _collected(self) -> list[Path]:
        return [*self._there(self.grid.results.collected), *self._there(self.grid.results.preview)]

    def _fetched(self) -> list[Path]:
        """Fetched folders and their pins that no study names; none if a study can't be read."""
        used = set(self.grid.fetched())
        for study in self.folder.glob("results/*/state/study_file"):
            resolved = study.parents[1] / "study.yaml"
            if not resolved.exists():  # it has begun, and what it fetches is not known yet
                return []
            content = yaml.safe_load(resolved.read_text(encoding="utf-8"))
            used |= {pin.removesuffix(SUFFIX) for pin in content.get("fetched", {})}
        places = []
        for pin in sorted((self.folder / "resources").rglob(f"*{SUFFIX}")):
            folder = pinned_folder(pin)
            if folder.relative_to(self.folder).as_posix() not in used:
                places += [place for place in (folder, pin) if place.exists()]
        return places

    def _by_model(self, folder: str) -> Iterator[tuple[Model, Path]]:
        for checkpoint, place in self._below(folder):
            yield (checkpoint, place.name), place

    def _below(self, folder: str) -> Iterator[tuple[str, Path]]:
        """(checkpoint, path) of everything in the checkpoints' folders."""
        for place in sorted((self.folder / folder).glob("*/*")):
            yield place.parent.name, place

    def _there(self, place: str) -> Iterator[Path]:
        if (self.folder / place).exists():
            yield self.folder / place


def unused_slices(grid: Grid, folder: Path) -> list[Path]:
    """Slices of evaluations that no record names, and the study does not ask for as it is now."""
    results = grid.results
    used = {recorded_slice(record) for record in (folder / results.scored_models).glob("*/*.json")}
    slices = Slices(results.slices)
    asked = partial(evaluation_slice, grid)
    used |= {Path(slices.file(EVALUATE, asked, arm)) for arm in grid.parents}
    found = (folder / results.slices / EVALUATE).glob("*.json")
    return sorted(file for file in found if file.relative_to(folder) not in used)


def delete(kinds: Iterable[Kind]) -> None:
    """Delete these, and the checkpoints' folders that this leaves empty."""
    for kind in kinds:
        for place in kind.places:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
            if not names_in(place.parent):
                place.parent.rmdir()


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir() and not place.is_symlink():
            yield from (file for file in place.rglob("*") if not file.is_dir())
        else:
            yield place
