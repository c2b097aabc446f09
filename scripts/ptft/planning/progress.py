"""How far a study has come, from what is in its results folder."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptft.evaluation.published import forget_gone
from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import Results, cell_file
from ptft.runtime.job_records import JobRecord, read_records
from ptft.study.grid import Grid

FINETUNE, EVALUATE = "finetune_model", "evaluate_model"


@dataclass(frozen=True)
class JobStatus:
    """The state of one job."""

    rule: str
    checkpoint: str
    arm: str
    state: str
    """done, running, failed, lost (killed) or missing"""
    cells_done: int = 0
    """finished cells of an evaluation"""
    attempts: int = 0


@dataclass(frozen=True)
class Progress:
    """The jobs of a study that load a model, each with its state."""

    grid: Grid
    folder: Path = Path()
    """working directory of the study"""

    @property
    def results(self) -> Results:
        """Paths of the study."""
        return Results(self.grid.name)

    def jobs(self) -> Iterator[JobStatus]:
        """Every fine-tuning and evaluation, a checkpoint after another."""
        wanted = {cell_file(*score) for score in self.grid.scores()}
        for checkpoint, arm in self.grid.models():
            evaluation = self._evaluation(checkpoint, arm.name, wanted)
            if arm.trained:
                yield self._finetuning(checkpoint, arm.name, evaluation.state == "done")
            yield evaluation

    def forget_deleted_cells(self) -> None:
        """Let cells be scored again whose files were deleted or moved away since they were scored.

        To be called before any job starts. A model whose job is at work, or was killed, is left
        alone.
        """
        store = self.folder / self.results.cell_store
        wanted = {cell_file(*score) for score in self.grid.scores()}
        for checkpoint, arm in self.grid.models():
            found = names_in(self.folder / self.results.evaluation(checkpoint, arm.name))
            record = self.folder / self.results.published_cells(checkpoint, arm.name)
            if wanted <= found or not record.exists():
                continue
            attempts = self._records(EVALUATE, checkpoint, arm.name)
            if attempts and attempts[-1].state == "done":
                forget_gone(record, wanted, found, store)

    def log_of(self, job: JobStatus) -> Path:
        """Log of a job's last attempt."""
        return self.folder / self.results.log(job.rule, job.checkpoint, job.arm)

    def _evaluation(self, checkpoint: str, arm: str, wanted: set[str]) -> JobStatus:
        found = names_in(self.folder / self.results.evaluation(checkpoint, arm))
        done = len(wanted & found)
        if done == len(wanted):
            return JobStatus(EVALUATE, checkpoint, arm, "done", done)
        state, attempts = self._recorded(EVALUATE, checkpoint, arm)
        return JobStatus(EVALUATE, checkpoint, arm, state, done, attempts)

    def _finetuning(self, checkpoint: str, arm: str, used: bool) -> JobStatus:
        """A model that was used and deleted (a temporary output) is done, too."""
        model = self.folder / self.results.tuned(checkpoint, arm)
        if used or (model / TRAINING_SUMMARY).exists():
            return JobStatus(FINETUNE, checkpoint, arm, "done")
        state, attempts = self._recorded(FINETUNE, checkpoint, arm)
        return JobStatus(FINETUNE, checkpoint, arm, state, 0, attempts)

    def _records(self, rule: str, checkpoint: str, arm: str) -> list[JobRecord]:
        return read_records(self.folder / self.results.job_records(rule, checkpoint, arm))

    def _recorded(self, rule: str, checkpoint: str, arm: str) -> tuple[str, int]:
        """State of a job whose output is not there, by its last attempt."""
        records = self._records(rule, checkpoint, arm)
        if not records:
            return "missing", 0
        state = records[-1].state
        return ("missing" if state == "done" else state), len(records)


def counts(jobs: list[JobStatus], rule: str) -> Counter:
    """State -> number of a rule's jobs."""
    return Counter(job.state for job in jobs if job.rule == rule)


def names_in(folder: Path) -> set[str]:
    """Names in a folder, none where there is no folder.

    One system call for all, since a study has many thousand cells.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()
