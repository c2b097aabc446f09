"""Expected time of jobs, from the study's own jobs or else from a device's rates."""

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ptft.errors import present
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
"""dataset, format, shots of a cell of one checkpoint and arm"""


@dataclass(frozen=True)
class PlannedJob:
    """A job that would run."""

    rule: str
    checkpoint: str | None = None
    arm: str | None = None
    cells: tuple[Score, ...] = ()
    """that an evaluation would score; others are in the store"""
    derived: int = 0
    """number of derived arms that an evaluation would score; ``cells`` includes theirs"""
    again: bool = False
    """whether a model is fine-tuned only because it was deleted after scoring"""


def speeds(history: History) -> dict[str, Speed]:
    """Times of the study's own jobs, by rule."""
    return {rule: history.speed(rule) for rule in (FINETUNE, EVALUATE)}


def job_seconds(
    jobs: Iterable[PlannedJob], estimates: Estimates, fast: dict[str, Speed]
) -> dict[PlannedJob, float]:
    """Expected seconds, by the clock, of each job that has a model."""
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
    """Expected time of the jobs that run; arguments as in ``make_plan``.

    A lane is a CPU core, or else room for one job of a model (GPUs, or a job on the cluster).
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
