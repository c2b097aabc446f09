"""What jobs are expected to take: by the study's own jobs, else by a device's rates."""

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ptft.files.errors import present
from ptft.planning.estimates import Estimates
from ptft.planning.gpu_choice import Gpu
from ptft.planning.history import History, Speed
from ptft.planning.progress import EVALUATE, FINETUNE
from ptft.planning.rates import RATES
from ptft.planning.workload import Workload
from ptft.runtime.run_lines import Expected
from ptft.study.grid import Grid

PRETRAIN = "pretrain_checkpoint"

Score = tuple[str, str, int]
"""dataset, format, shots: a cell of one checkpoint and arm"""


@dataclass(frozen=True)
class PlannedJob:
    """A job that would run."""

    rule: str
    checkpoint: str | None = None
    arm: str | None = None
    cells: tuple[Score, ...] = ()
    """of an evaluation: those that it would score; it finds the others in the store"""
    derived: int = 0
    """of an evaluation: derived arms that it would score, whose cells are among these"""
    again: bool = False
    """a fine-tuning, for its model is gone and scored anew, that nothing else has changed for"""


def speeds(history: History) -> dict[str, Speed]:
    """What the study's own jobs took, by rule."""
    return {rule: history.speed(rule) for rule in (FINETUNE, EVALUATE)}


def job_seconds(
    jobs: Iterable[PlannedJob], estimates: Estimates, fast: dict[str, Speed]
) -> dict[PlannedJob, float]:
    """Expected time of each job that has a model, by the clock."""
    factors = {rule: speed.factor for rule, speed in fast.items()}
    tuning = {
        name: estimates.finetune_seconds(name) * factors[FINETUNE]
        for name, arm in estimates.grid.arms.items()
        if arm.trained
    }
    scoring: dict[tuple, float] = {}
    seconds = {}
    for job in jobs:
        if job.rule == FINETUNE:
            seconds[job] = tuning[present(job.arm, "arm")]
        elif job.rule == PRETRAIN:
            seconds[job] = estimates.pretrain_seconds(present(job.checkpoint, "checkpoint"))
        elif job.rule == EVALUATE:
            asked = (job.cells, job.derived)
            if asked not in scoring:
                scoring[asked] = estimates.evaluate_seconds(*asked) * factors[EVALUATE]
            seconds[job] = scoring[asked]
    return seconds


def expected_run(
    grid: Grid,
    jobs: Collection[PlannedJob],
    cores: int = 0,
    folder: Path = Path(),
    at_once: int | None = None,
    gpus: tuple[Gpu, ...] = (),
) -> Expected:
    """What the jobs that run are expected to take; arguments as of ``make_plan``.

    A lane is a CPU core, else a place for a job of a model: a GPU or a job on the cluster.
    """
    estimates = Estimates(grid, Workload(grid, folder), gpus)
    timed = job_seconds(jobs, estimates, speeds(History(grid, estimates, folder)))
    lanes = cores if not grid.study.compute.gpus and cores else min(at_once or 1, len(timed) or 1)
    threads = {FINETUNE, EVALUATE} if lanes == cores else set()
    each: dict[Hashable, float] = {}
    total = 0.0
    for job in jobs:
        seconds = timed.get(job, RATES["cpu"].light)
        seconds *= grid.study.compute.threads if job.rule in threads else 1
        each[job.rule, job.checkpoint, job.arm] = seconds
        total += seconds
    return Expected(each, total, lanes)
