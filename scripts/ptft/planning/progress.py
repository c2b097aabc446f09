"""How far a study has come, from what is in its results folder."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ptft.evaluation.published import gone, names_in
from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import Results, cell_file
from ptft.runtime.job_records import read_records
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
    """of an evaluation, finished"""
    attempts: int = 0


@dataclass(frozen=True)
class Published:
    """A model that was scored."""

    record: str
    """of its cells"""
    declared: str
    """record that Snakemake knows: its own, or its parent's if the arm is derived"""
    folder: str
    """of its cells"""
    absent: set[str]
    """file names of the study's cells that are missing"""
    there: str | None
    """file name of a cell that exists"""


def tell_gone(models: Iterable[Published]) -> list[str]:
    """Lines that tell of cells deleted or moved since they were scored."""
    files = [
        f"{model.folder}/{name}"
        for model in models
        for name in gone(Path(model.record), model.absent)
    ]
    if not files:
        return []
    more = f" and {len(files) - 1} more cells" if len(files) > 1 else ""
    return [f"{files[0]}{more}: gone since the evaluation, which scores them again"]


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
        """Every fine-tuning and evaluation, checkpoint by checkpoint."""
        wanted, records = self._wanted(), self._records()
        for checkpoint, arm in self.grid.models():
            recorded = self.results.published_cells(checkpoint, arm.name) in records
            evaluation = self._evaluation(checkpoint, arm.name, wanted, recorded)
            if arm.trained:
                yield self._finetuning(checkpoint, arm.name, evaluation.state == "done")
            yield evaluation

    def published(self) -> Iterator["Published"]:
        """Every scored model, derived ones too, with its missing cells."""
        wanted, records = self._wanted(), self._records()
        for checkpoint, arm in self.grid.models():
            record, declared = (
                self.results.published_cells(checkpoint, name)
                for name in (arm.name, arm.parent or arm.name)
            )
            if declared in records:
                folder = self.results.evaluation(checkpoint, arm.name)
                found = names_in(self.folder / folder)
                there = next((name for name in found if name in wanted), None)
                yield Published(record, declared, folder, wanted - found, there)

    def unrecorded(self) -> list[str]:
        """Missing records of jobs that score models."""
        records, results = self._records(), self.results
        asked = (
            results.published_cells(name, arm.name)
            for name, arm in self.grid.models()
            if not arm.parent
        )
        return [record for record in asked if record not in records]

    def log_of(self, job: JobStatus) -> Path:
        """Log of a job's last attempt."""
        return self.folder / self.results.log(job.rule, job.checkpoint, job.arm)

    def _wanted(self) -> set[str]:
        """File names of the cells of a model."""
        return {cell_file(*score) for score in self.grid.scores()}

    def _records(self) -> set[str]:
        """Paths of all scored models' records, from one listing per checkpoint."""
        published = self.results.published
        return {
            f"{published}/{checkpoint}/{name}"
            for checkpoint in self.grid.checkpoints
            for name in names_in(self.folder / published / checkpoint)
        }

    def _evaluation(self, checkpoint: str, arm: str, wanted: set[str], recorded: bool) -> JobStatus:
        """Without a record it is not done: its cells may be of an earlier run."""
        found = names_in(self.folder / self.results.evaluation(checkpoint, arm))
        done = len(wanted & found)
        if recorded and done == len(wanted):
            return JobStatus(EVALUATE, checkpoint, arm, "done", done)
        state, attempts = self._recorded(EVALUATE, checkpoint, arm)
        return JobStatus(EVALUATE, checkpoint, arm, state, done, attempts)

    def _finetuning(self, checkpoint: str, arm: str, used: bool) -> JobStatus:
        """A used and deleted model (a temporary output) is done, too."""
        model = self.folder / self.results.tuned(checkpoint, arm)
        if used or (model / TRAINING_SUMMARY).exists():
            return JobStatus(FINETUNE, checkpoint, arm, "done")
        state, attempts = self._recorded(FINETUNE, checkpoint, arm)
        return JobStatus(FINETUNE, checkpoint, arm, state, 0, attempts)

    def _recorded(self, rule: str, checkpoint: str, arm: str) -> tuple[str, int]:
        """State of a job without output, from its last attempt."""
        records = read_records(self.folder / self.results.job_records(rule, checkpoint, arm))
        if not records:
            return "missing", 0
        state = records[-1].state
        return ("missing" if state == "done" else state), len(records)


def counts(jobs: list[JobStatus], rule: str) -> Counter:
    """State -> number of a rule's jobs."""
    return Counter(job.state for job in jobs if job.rule == rule)
