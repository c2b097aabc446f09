"""The jobs that a dry run plans, and their expected time.

An event of Snakemake's tells a job's rule, wildcards, inputs, outputs and reason. Of an evaluation
of a model that is there, the cells to score are the difference between what its slice asks for and
what the slice that its record names did. Times are those of the study's own finished jobs, or else
follow from a device's rates.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol, cast

from ptft.errors import present
from ptft.evaluation.cells import CellRequest, DerivedPlan, EvaluationPlan, cells_of_plan
from ptft.evaluation.records import names_in, recorded_slice
from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import cell_file, pretrained
from ptft.planning.estimates import Estimates
from ptft.planning.gpus import Gpu
from ptft.planning.workload import RATES, training_seconds
from ptft.runtime.gpus import gpu_pool
from ptft.runtime.job_records import JobRecord, read_records
from ptft.study.grid import Grid
from ptft.study.slices import evaluation_slice
from ptft.training.methods import METHODS

FINETUNE, EVALUATE, PRETRAIN = "finetune_model", "evaluate_model", "pretrain_checkpoint"
SELF_TEXT = "write_self_text"
"""rules whose jobs take most of the time"""
FETCHING = {"resolve_pins", "fetch_pin"}
TIMED = FINETUNE, EVALUATE
"""rules whose finished jobs say how fast others will be"""
MOST_JOBS = 100
"""jobs per rule that are read"""


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
    text: str | None = None
    """that a checkpoint would write"""
    again: bool = False
    """whether a model is fine-tuned only because it was deleted after scoring"""


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

    estimates: Estimates

    @property
    def grid(self) -> Grid:
        """Of the study."""
        return self.estimates.grid

    @cached_property
    def speeds(self) -> dict[str, Speed]:
        """Times of the recorded jobs, by rule."""
        pairs = {rule: [*itertools.islice(self._pairs(rule), MOST_JOBS)] for rule in TIMED}
        return {
            rule: Speed(len(found), *(sum(part) for part in zip(*found, strict=True)))
            for rule, found in pairs.items()
        }

    def job_seconds(self, jobs: Iterable[PlannedJob]) -> dict[PlannedJob, float]:
        """Expected seconds, by the clock, of each job that has a model."""
        jobs, estimates = list(jobs), self.estimates
        training, evaluation = (self.speeds[rule].factor for rule in TIMED)
        trained = {(job.checkpoint, job.arm) for job in jobs if job.rule == FINETUNE}
        tuning = {name: training * estimates.finetune_seconds(name) for name in self.grid.made}
        scoring: dict[tuple, float] = {}
        seconds = {}
        for job in jobs:
            if job.rule == FINETUNE:
                name = present(job.arm, "arm")
                left = (job.checkpoint, self.grid.arms[name].parent) in trained
                seconds[job] = RATES["cpu"].light if left else tuning[name]
            elif job.rule == PRETRAIN:
                seconds[job] = estimates.pretrain_seconds(present(job.checkpoint, "checkpoint"))
            elif job.rule == SELF_TEXT:
                seconds[job] = estimates.self_text_seconds(present(job.text, "text"))
            elif job.rule == EVALUATE:
                asked = (job.cells, job.derived)
                if asked not in scoring:
                    scoring[asked] = evaluation * estimates.evaluate_seconds(*asked)
                seconds[job] = scoring[asked]
        return seconds

    def _pairs(self, rule: str) -> Iterator[tuple[float, float]]:
        """(seconds taken, seconds expected) of each job with a usable record."""
        expected = {FINETUNE: self._training, EVALUATE: self._scoring}[rule]
        results = self.grid.results
        for checkpoint, arm in self.grid.models():
            records = read_records(Path(results.job_records(rule, checkpoint, arm.name)))
            if not records or records[-1].state != "done" or not self._same_device(records[-1]):
                continue
            seconds = expected(records[-1], checkpoint, arm.name)
            if seconds is not None:
                yield records[-1].seconds, seconds

    def _training(self, record: JobRecord, checkpoint: str, arm: str) -> float | None:
        """From the model's summary: the study's settings may have changed since."""
        results = self.grid.results
        places = [results.tuned(checkpoint, arm), results.training_records(checkpoint, arm)]
        files = [Path(place, TRAINING_SUMMARY) for place in places]
        file = next((file for file in files if file.exists()), None)
        if record.resumed_from or record.reused or file is None:
            return None
        summary = json.loads(file.read_text())
        if "snapshot" in summary:  # of a part of a training, which says nothing of the whole
            return None
        rates, gpus = self.estimates.training_rates(arm), summary["devices"]
        lanes = summary["threads"] if self.estimates.device == "cpu" else gpus
        seconds = training_seconds(
            rates,
            summary["parameters"],
            summary["tokens"] / lanes,
            summary["steps"],
            METHODS[summary["method"]].adapter,
            gpus,
            compared=self.grid.settings(arm).needs_base,
        )
        return rates.start + seconds

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


JobKey = tuple[str, str | None, str | None]
"""rule, checkpoint, arm"""


@dataclass(frozen=True)
class Expected:
    """Expected times of the jobs of a run, each as if nothing else ran beside it."""

    jobs: Mapping[str, int]
    """rule -> its jobs in this run"""
    mean: Mapping[str, float]
    """rule -> seconds of one of them on one lane"""
    each: Mapping[JobKey, float]
    """of jobs that have a model"""
    lanes: float
    """CPU cores, or GPUs, that they share"""

    @property
    def total(self) -> float:
        """Seconds of all jobs."""
        light = RATES["cpu"].light
        return sum(count * self.mean.get(rule, light) for rule, count in self.jobs.items())

    def seconds(self, job: JobKey) -> float:
        """Of a job."""
        return self.each.get(job, RATES["cpu"].light)


def expected_run(
    grid: Grid,
    jobs: Mapping[str, int],
    cores: int = 0,
    nodes: int = 0,
    gpus: tuple[Gpu, ...] = (),
) -> Expected:
    """Expected time of a run, of which only the numbers of its jobs are known.

    A lane is a CPU core, or else room for one job of a model (GPUs, or a job on the cluster).

    Args:
        grid: of the study.
        jobs: rule -> number of its jobs.
        cores: of this machine; 0 where jobs run elsewhere.
        nodes: jobs that run elsewhere at a time.
        gpus: models that jobs may ask for.
    """
    compute = grid.study.compute
    models = [job for job in model_jobs(grid) if job.rule in jobs]
    timed = History(Estimates(grid, gpus)).job_seconds(models)
    left = [job for job in models if not _has_result(grid, job)]
    at_once = nodes or (len(gpu_pool()) // compute.gpus if compute.gpus else cores)
    lanes = min(max(1, at_once), max(1, sum(jobs[rule] for rule in {job.rule for job in models})))
    threads = compute.threads if cores and not compute.gpus and not nodes else 1
    each = {
        (job.rule, job.checkpoint, job.arm): seconds * (1 if job.rule == PRETRAIN else threads)
        for job, seconds in timed.items()
    }
    mean = {}
    for rule in {job.rule for job in models}:
        of_rule = [job for job in left if job.rule == rule]
        of_rule = of_rule or [job for job in models if job.rule == rule]
        mean[rule] = fmean(each[rule, job.checkpoint, job.arm] for job in of_rule)
    counted = {rule: count for rule, count in jobs.items() if rule not in ("all", "total")}
    return Expected(counted, mean, each, lanes)


def model_jobs(grid: Grid) -> Iterator[PlannedJob]:
    """Every job of the study that makes or scores a model, with all of its cells."""
    cells = tuple(grid.scores())
    source = grid.model.source
    if source.kind == "pocket":
        yield from (PlannedJob(PRETRAIN, checkpoint) for checkpoint in source.checkpoints())
    for checkpoint, arm in grid.models():
        if arm.made:
            yield PlannedJob(FINETUNE, checkpoint, arm.name)
        if not arm.parent:
            derived = len(grid.derived_at(checkpoint, arm.name))
            yield PlannedJob(EVALUATE, checkpoint, arm.name, cells * (1 + derived), derived)


def _has_result(grid: Grid, job: PlannedJob) -> bool:
    results, checkpoint = grid.results, present(job.checkpoint, "checkpoint")
    if job.rule == PRETRAIN:
        return Path(pretrained(grid.study.model, checkpoint)).exists()
    record = results.scored_model(checkpoint, present(job.arm, "arm"))
    model = results.tuned(checkpoint, present(job.arm, "arm"))
    return Path(record if job.rule == EVALUATE else model).exists()


# Jobs of a dry run --------------------------------------------------------------------------------

MODEL_MAKERS = {FINETUNE, PRETRAIN, *FETCHING, "convert_checkpoint"}


class JobEvent(Protocol):
    """A job as Snakemake's `job_info` tells of it."""

    rule_name: str
    wildcards: dict[str, str]
    input: list[str]
    output: list[str]
    reason: str
    shellcmd: str | None


def planned_jobs(grid: Grid, events: Iterable[Any]) -> list[PlannedJob]:
    """Every job of a dry run, without those that only name others.

    Args:
        grid: of the study.
        events: Snakemake's, one a job.
    """
    return list(_Planned(grid, [event for event in events if event.shellcmd]).jobs())


@dataclass(frozen=True)
class _Asked:
    """The scores that an evaluation is asked for."""

    version: int
    cells: frozenset[CellRequest]
    derived: dict[str, DerivedPlan]


class _Planned:
    def __init__(self, grid: Grid, events: list[JobEvent]) -> None:
        self.grid, self.events = grid, events
        self.results = grid.results
        self.maker = {path: event for event in events for path in event.output}
        self.new_data = {
            event.wildcards["dataset"] for event in events if event.rule_name == "prepare_split"
        }

    def jobs(self) -> Iterator[PlannedJob]:
        for event in self.events:
            rule, known = event.rule_name, event.wildcards or {}
            checkpoint, arm = known.get("checkpoint"), known.get("arm")
            cells: tuple[Score, ...] = ()
            derived = 0
            if rule == EVALUATE:
                cells, derived = self._cells(event, known["checkpoint"], known["arm"])
            again = self._made_again(event)
            yield PlannedJob(rule, checkpoint, arm, cells, derived, known.get("text"), again)

    def _made_again(self, event: JobEvent) -> bool:
        """Whether a model is trained only because it was deleted after it was scored."""
        if event.rule_name != FINETUNE or self.grid.study.keep_models:
            return False
        known = event.wildcards
        records = self.results.training_records(known["checkpoint"], known["arm"])
        only = all(reason.startswith("Missing output") for reason in event.reason.split("; "))
        return only and Path(records).exists()

    def _new_model(self, event: JobEvent) -> bool:
        """Whether a model may change: training again gives the same bits only on a CPU.

        Its snapshots are arms of their own, whose cells the slices tell.
        """
        makers = [self.maker[path] for path in event.input if path in self.maker]
        snapshots = {arm.name for arm in self.grid.arms.values() if arm.snapshot is not None}
        makers = [maker for maker in makers if (maker.wildcards or {}).get("arm") not in snapshots]
        return any(
            maker.rule_name in MODEL_MAKERS
            and (self.grid.study.compute.gpus > 0 or not self._made_again(maker))
            for maker in makers
        )

    def _cells(self, event: JobEvent, checkpoint: str, arm: str) -> tuple[tuple[Score, ...], int]:
        """Cells that an evaluation would score, and how many derived arms these are of."""
        record = Path(self.results.scored_model(checkpoint, arm))
        names = [arm, *(child.name for child in self.grid.derived_at(checkpoint, arm))]
        store = Path(self.results.cell_store).exists()
        if not store or not record.exists() or self._new_model(event):
            scored = [self._all] * len(names)
        else:
            scored = [self._to_score(checkpoint, arm, name) for name in names]
        return tuple(score for scores in scored for score in scores), sum(map(bool, scored[1:]))

    def _to_score(self, checkpoint: str, arm: str, name: str) -> tuple[Score, ...]:
        """Of one arm of an unchanged model: cells that are missing, changed, or have new data."""
        there = names_in(Path(self.results.evaluation(checkpoint, name)))
        now, before = self._wanted[arm], self._asked_before(checkpoint, arm)
        kept = set(self._all)
        if before is not None:
            kept = {(cell.dataset, cell.format, cell.shots) for cell in now.cells & before.cells}
            if (before.version, before.derived.get(name)) != (now.version, now.derived.get(name)):
                kept = set()
        return tuple(
            score
            for score in self._all
            if score not in kept or score[0] in self.new_data or cell_file(*score) not in there
        )

    def _asked_before(self, checkpoint: str, arm: str) -> _Asked | None:
        """Scores that the last run was asked for, by its record's slice; None: unknown."""
        plan = recorded_slice(Path(self.results.scored_model(checkpoint, arm)))
        return None if plan is None else _asked_by(plan.absolute())

    @cached_property
    def _all(self) -> tuple[Score, ...]:
        return tuple(self.grid.scores())

    @cached_property
    def _wanted(self) -> dict[str, _Asked]:
        """Arm that a job scores -> what the job is asked to score."""
        return {
            arm: _asked(cast(EvaluationPlan, evaluation_slice(self.grid, arm)))
            for arm in self.grid.parents
        }


@lru_cache(maxsize=16)
def _asked_by(plan: Path) -> _Asked | None:
    """The scores that a slice asks for; None where it is not there any more."""
    return _asked(json.loads(plan.read_text(encoding="utf-8"))) if plan.exists() else None


def _asked(plan: EvaluationPlan) -> _Asked:
    return _Asked(plan["scoring_version"], frozenset(cells_of_plan(plan)), plan.get("derived", {}))
