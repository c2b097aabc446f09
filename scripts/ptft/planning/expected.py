"""Expected time of jobs, from the study's own finished jobs or else from a device's rates."""

import itertools
import json
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ptft.errors import present
from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import Results
from ptft.planning.estimates import Estimates
from ptft.planning.gpus import Gpu
from ptft.planning.workload import ADAPTER, RATES, Workload, training_seconds
from ptft.runtime.job_records import JobRecord, read_records
from ptft.runtime.run_lines import Expected
from ptft.study.grid import Grid

FINETUNE, EVALUATE, PRETRAIN = "finetune_model", "evaluate_model", "pretrain_checkpoint"
"""rules whose jobs take most of the time"""
MOST_JOBS = 100
"""jobs per rule that are read"""


@dataclass(frozen=True)
class Speed:
    """Times of a rule's jobs in this study."""

    jobs: int = 0
    taken: float = 0.0
    """recorded seconds of jobs that did all their work in one attempt"""
    expected: float = 0.0
    """seconds for the same work at the device's rates"""

    @property
    def factor(self) -> float:
        """Time taken over time expected; 1 if nothing is recorded."""
        return self.taken / self.expected if self.jobs else 1.0


@dataclass(frozen=True)
class History:
    """Recorded jobs of a study."""

    grid: Grid
    estimates: Estimates
    folder: Path = Path()
    """working directory of the study"""

    def speed(self, rule: str) -> Speed:
        """Times of the recorded jobs of a rule."""
        found = list(itertools.islice(self._pairs(rule), MOST_JOBS))
        return Speed(len(found), *(sum(part) for part in zip(*found, strict=True)))

    def _pairs(self, rule: str) -> Iterator[tuple[float, float]]:
        """(seconds taken, seconds expected) of each job with a usable record."""
        expected = {FINETUNE: self._training, EVALUATE: self._scoring}[rule]
        results = Results(self.grid.name)
        for checkpoint, arm in self.grid.models():
            records = read_records(self.folder / results.job_records(rule, checkpoint, arm.name))
            if not records or records[-1].state != "done" or not self._same_device(records[-1]):
                continue
            seconds = expected(records[-1], checkpoint, arm.name)
            if seconds is not None:
                yield records[-1].seconds, seconds

    def _training(self, record: JobRecord, checkpoint: str, arm: str) -> float | None:
        """From the model's summary: the study's settings may have changed since."""
        results = Results(self.grid.name)
        places = [results.tuned(checkpoint, arm), results.training_records(checkpoint, arm)]
        files = [self.folder / place / TRAINING_SUMMARY for place in places]
        file = next((file for file in files if file.exists()), None)
        if record.resumed_from or record.reused or file is None:
            return None
        summary = json.loads(file.read_text())
        rates, gpus = self.estimates.training_rates(arm), summary["devices"]
        lanes = summary["threads"] if self.estimates.device == "cpu" else gpus
        seconds = training_seconds(
            rates,
            summary["parameters"],
            summary["tokens"] / lanes,
            summary["steps"],
            summary["method"] == ADAPTER,
            gpus,
            compared=summary["settings"].get("kl", 0) > 0,
        )
        return rates.start + seconds * max(1, len(summary["settings"]["learning_rates"]))

    def _scoring(self, record: JobRecord, checkpoint: str, arm: str) -> float | None:
        """In proportion to the examples scored."""
        if not record.examples:
            return None
        scores = list(self.grid.scores())
        sizes = self.estimates.workload.sizes
        examples = sum(sizes[dataset, "test"].rows for dataset, _, _ in scores)
        start = self.estimates.scoring_rates.start
        scoring = self.estimates.evaluate_seconds() - start
        return start + scoring * record.examples / examples

    def _same_device(self, record: JobRecord) -> bool:
        return bool(record.gpus) == (self.estimates.device == "cuda")


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
