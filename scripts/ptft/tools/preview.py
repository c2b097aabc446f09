"""Preview of a running study: tables, figures and front page of the scores so far.

It reads the study's results and writes only into a folder of its own beside them, so it needs no
lock and disturbs no job.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ptft import language, paths
from ptft.analysis.csv_tables import write_table
from ptft.analysis.first_tables import write_first_tables
from ptft.analysis.tables import analyse
from ptft.figures import FigureSpec, figures_of
from ptft.figures.drawing import draw_figures
from ptft.files import as_file, as_read
from ptft.hub.pins import fill_in
from ptft.report.page import Progress, StudyFiles, write_page
from ptft.study.grid import Grid
from ptft.study.slices import arms_slice, collection_slice, resolved_study

log = logging.getLogger(__name__)

AUDITS = ("audit_splits", "audit_prompts", "self_text")


@dataclass(frozen=True)
class Preview:
    """Preview of one study.

    Attributes:
        grid: the study.
        folder: working directory of the study.
    """

    grid: Grid
    folder: Path = Path()

    @property
    def page(self) -> Path:
        """The page that people open."""
        return self.folder / self.grid.results.preview_page

    @property
    def output(self) -> Path:
        """The only folder that is written to."""
        return self.folder / self.grid.results.preview

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.output / "tables"

    @cached_property
    def drawn(self) -> dict[str, FigureSpec]:
        """Its figures."""
        return figures_of(self.grid.contents)

    def make(self) -> tuple[int, int]:
        """Write everything, the page last.

        Returns:
            number of cells so far, and of the whole study.

        Raises:
            NothingYetError: there is no cell yet.
            ValueError: a cell's file is broken.
        """
        language.use(self.grid.study.report.language, self.grid.titles)
        progress = self._collect()
        self._analyse()
        figures, trained = self.output / "figures", self.tables / "arms.parquet"
        draw_figures(self.drawn, self.tables, figures, trained, kinds=["svg"])
        self._write_page(progress)
        return int(progress.cells["cells"].sum()), int(progress.cells["of"].sum())

    def _collect(self) -> Progress:
        """Write cells, replicates, arms, costs and audits so far; returns each model's cells."""
        study = as_read(collection_slice(self.grid))
        fill_in(study["checkpoints"], self._pins(self.grid.fetched_checkpoints()))
        models = as_read(arms_slice(self.grid))
        parts = self.output / "collected"
        found, _ = write_first_tables(
            study, models, self.tables, parts, self.folder, self._is_scored
        )
        for name in AUDITS:
            if (made := self.folder / self.grid.results.table(name)).exists():
                write_table(pl.read_parquet(made), self.tables / f"{name}.parquet")
        return Progress.of(found.cells, found.missing, f"{datetime.now():%Y-%m-%d %H:%M}")

    def _is_scored(self, checkpoint: str, arm: str) -> bool:
        """Cells without a record do not count: they may be of an earlier model."""
        return (self.folder / self.grid.results.scored_model(checkpoint, arm)).exists()

    def _analyse(self) -> None:
        settings = self.output / "analysis.json"
        settings.write_text(as_file(dataclasses.asdict(self.grid.study.analysis)))
        cells, replicates, trained = (
            self.tables / f"{name}.parquet" for name in ("cells", "replicates", "arms")
        )
        analyse(cells, self.tables, replicates, trained, settings)

    def _write_page(self, progress: Progress) -> None:
        resolved = self.output / "study.yaml"
        pins = self._pins(self.grid.fetched())
        fetched = {str(pin): json.loads(pin.read_text()) for pin in pins}
        study: Mapping[str, Any] = {
            **as_read(resolved_study(self.grid)),
            "fetched": fetched,
        }
        resolved.write_text(yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=100))
        records = tuple(
            self.folder / place for place in (self.grid.results.trained, self.grid.results.models)
        )
        files = StudyFiles(
            resolved,
            self.tables,
            self.output / "figures",
            records,
            scored=self.folder / self.grid.results.scored_models,
            updates=self.folder / self.grid.results.update_ways,
        )
        write_page(files, self.page, list(self.drawn), progress)

    def _pins(self, folders: Mapping[str, Any]) -> list[Path]:
        """Existing pins."""
        pins = [self.folder / paths.pin(folder) for folder in folders]
        return [pin for pin in pins if pin.exists()]
