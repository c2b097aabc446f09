"""How far a study has come: each job's state, and the log and cause of each failure."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptft.evaluation.records import names_in
from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import cell_file
from ptft.planning.jobs import EVALUATE, FINETUNE
from ptft.runtime.failures import cause, log_lines
from ptft.runtime.job_records import read_records
from ptft.study.grid import Grid


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
class Progress:
    """The jobs of a study that load a model, each with its state."""

    grid: Grid
    folder: Path = Path()
    """working directory of the study"""

    def jobs(self) -> Iterator[JobStatus]:
        """Every fine-tuning and evaluation, checkpoint by checkpoint."""
        wanted, records = self._wanted(), self._records()
        for checkpoint, arm in self.grid.models():
            recorded = self.grid.results.scored_model(checkpoint, arm.name) in records
            evaluation = self._evaluation(checkpoint, arm.name, wanted, recorded)
            if arm.made:
                yield self._finetuning(checkpoint, arm.name, evaluation.state == "done")
            yield evaluation

    def log_of(self, job: JobStatus) -> Path:
        """Log of a job's last attempt."""
        return self.folder / self.grid.results.log(job.rule, job.checkpoint, job.arm)

    def _wanted(self) -> set[str]:
        """File names of the cells of a model."""
        return {cell_file(*score) for score in self.grid.scores()}

    def _records(self) -> set[str]:
        """Paths of all scored models' records, from one listing per checkpoint."""
        folder = self.grid.results.scored_models
        return {
            f"{folder}/{checkpoint}/{name}"
            for checkpoint in self.grid.checkpoints
            for name in names_in(self.folder / folder / checkpoint)
        }

    def _evaluation(self, checkpoint: str, arm: str, wanted: set[str], recorded: bool) -> JobStatus:
        """Without a record it is not done: its cells may be of an earlier run."""
        found = names_in(self.folder / self.grid.results.evaluation(checkpoint, arm))
        done = len(wanted & found)
        if recorded and done == len(wanted):
            return JobStatus(EVALUATE, checkpoint, arm, "done", done)
        state, attempts = self._recorded(EVALUATE, checkpoint, arm)
        return JobStatus(EVALUATE, checkpoint, arm, state, done, attempts)

    def _finetuning(self, checkpoint: str, arm: str, used: bool) -> JobStatus:
        """A used and deleted model (a temporary output) is done, too."""
        model = self.folder / self.grid.results.tuned(checkpoint, arm)
        if used or (model / TRAINING_SUMMARY).exists():
            return JobStatus(FINETUNE, checkpoint, arm, "done")
        state, attempts = self._recorded(FINETUNE, checkpoint, arm)
        return JobStatus(FINETUNE, checkpoint, arm, state, 0, attempts)

    def _recorded(self, rule: str, checkpoint: str, arm: str) -> tuple[str, int]:
        """State of a job without output, from its last attempt."""
        records = read_records(self.folder / self.grid.results.job_records(rule, checkpoint, arm))
        if not records:
            return "missing", 0
        state = records[-1].state
        return ("missing" if state == "done" else state), len(records)


MARKS = {"done": "done", "running": "RUN", "failed": "FAIL", "lost": "LOST", "missing": "."}
STAGE = {FINETUNE: "fine-tune"}


def status_table(grid: Grid, jobs: list[JobStatus]) -> str:
    """One row per arm, one column per checkpoint; `-` if the arm does not exist there.

    A field shows the fine-tuning until it is done, then the evaluation, as `cells done/all` once
    it has begun.
    """
    cells = len(list(grid.scores()))
    shown: dict[tuple[str, str], str] = {}
    for job in jobs:
        mark = MARKS[job.state]
        if job.rule == FINETUNE:
            shown[job.arm, job.checkpoint] = "" if job.state == "done" else f"tune {mark}"
            continue
        before = shown.get((job.arm, job.checkpoint))
        if before:
            continue
        partly = f" {job.cells_done}/{cells}" if 0 < job.cells_done < cells else ""
        waiting = "tuned" if before == "" and job.state == "missing" else mark
        shown[job.arm, job.checkpoint] = waiting + partly
    names = list(grid.checkpoints)
    shown = {(arm, name): shown.get((arm, name), "-") for arm in grid.arms for name in names}
    first = max(len(arm) for arm in grid.arms) + 2
    widths = [max(len(name), *(len(shown[arm, name]) for arm in grid.arms)) + 2 for name in names]
    pairs = list(zip(names, widths, strict=True))
    lines = [" " * first + "".join(f"{name:>{width}}" for name, width in pairs)]
    for arm in grid.arms:
        row = "".join(f"{shown[arm, name]:>{width}}" for name, width in pairs)
        lines.append(f"{arm:<{first}}{row}")
    return "\n".join(lines)


def failures(progress: Progress, jobs: list[JobStatus]) -> list[str]:
    """Each job whose last attempt failed or was killed: number of attempts, log, cause."""
    lines = []
    for job in jobs:
        if job.state not in ("failed", "lost"):
            continue
        log = progress.log_of(job)
        stage = STAGE.get(job.rule, "evaluate")
        lines.append(
            f"{stage} {job.checkpoint} {job.arm}: {job.state}, attempt {job.attempts}: {log}"
        )
        said = log_lines(log)
        if said:
            lines.append(f"    {cause(said) or said[-1]}")
    return lines


def summary(jobs: list[JobStatus]) -> str:
    """Number of jobs in each state."""
    order = list(MARKS)
    counted = {state: sum(job.state == state for job in jobs) for state in order}
    return ", ".join(f"{number} {state}" for state, number in counted.items() if number)


def what_is_left(grid: Grid, folder: Path = Path()) -> str:
    """One line of a run that stopped: trainings and evaluations by state, the way on."""
    states = [job.state for job in Progress(grid, folder).jobs()]
    done, failed = states.count("done"), states.count("failed") + states.count("lost")
    return (
        f"{grid.name}: {done:,} of {len(states):,} trainings and evaluations done, {failed:,} "
        f"failed, {len(states) - done - failed:,} left; the same command goes on from here"
    )
