"""The plan of a run: jobs by stage, cells, hours, disk, and what its test rows can show.

Hours and disk are estimates; the plan names their source.
"""

import math
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from ptft.errors import present
from ptft.planning.estimates import JobResources
from ptft.planning.gpus import Gpu, GpuChoice
from ptft.planning.jobs import (
    EVALUATE,
    FETCHING,
    FINETUNE,
    PRETRAIN,
    SELF_TEXT,
    History,
    PlannedJob,
)
from ptft.planning.workload import RATES, Workload
from ptft.study.grid import Arm, Grid

POWER = 0.8
"""share of studies that should find a true difference, as in the tables"""
CHANGED = 0.25
"""share of answers that are right with one model and wrong with the other: 0.5 for two independent
models that are right half of the time; 0.24 on other families in the pocket study"""


def smallest_difference(rows: int, level: float) -> float:
    """The smallest true difference of two models' accuracies that ``rows`` answers show.

    The normal quantiles of a two-sided test and of the power, added, times the standard error of a
    paired difference, sqrt(``CHANGED`` / rows), with one training seed.
    """
    normal = NormalDist()
    quantiles = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(POWER)
    return quantiles * math.sqrt(CHANGED / rows)


def power_note(workload: Workload) -> str:
    """One line for the plan: what the study's smallest and largest test splits show."""
    grid = workload.grid
    sizes = [
        size
        for (dataset, split), size in workload.sizes.items()
        if split == "test" and not grid.is_text(dataset)
    ]
    if not sizes:
        return ""
    level = grid.study.analysis.level
    told = " to ".join(
        f"{smallest_difference(rows, level):.2g} at {rows:,}{'' if at else ' test rows'}"
        for at, rows in enumerate(dict.fromkeys(f(size.rows for size in sizes) for f in (min, max)))
    )
    assumed = "" if all(size.counted for size in sizes) else ", sizes assumed"
    return (
        f"smallest difference to be seen with {100 * POWER:.0f} % power: {told} (one seed, "
        f"{100 * CHANGED:.0f} % of the answers changed{assumed})"
    )


STAGES = {FINETUNE: "fine-tune", EVALUATE: "evaluate"}
"""of jobs that may ask for a GPU"""


@dataclass(frozen=True)
class Stage:
    """One line of the plan."""

    name: str
    to_run: int
    total: int | None = None
    """in the whole study, if known"""
    hours: float | None = None
    """estimated, of what would run"""


@dataclass(frozen=True)
class Plan:
    """The jobs of a call."""

    study: str
    stages: tuple[Stage, ...]
    unit: str
    """what the hours count: GPUs or CPU cores"""
    cores: int
    """CPU cores that local jobs share, if the study asks for no GPU; else 0"""
    recorded_jobs: int
    """of this study, on which the hours are based"""
    counted: int
    """splits whose rows and tokens were counted"""
    splits: int
    models: int
    """fine-tuned models added to those on disk"""
    disk_bytes: int
    """of these; of the largest of them where none is kept"""
    free_bytes: int
    keep_models: bool = True
    again: int = 0
    """fine-tunings of models that were deleted"""
    notes: tuple[str, ...] = ()
    """GPU models that jobs ask for; the smallest difference of two scores that test rows show"""
    costs: tuple[tuple[str, float, float, float], ...] = ()
    """of each method and setting on the first task: its name, minutes of a training, GB of memory
    (a GPU's, where there is one), GB of disk"""

    @property
    def hours(self) -> float:
        """Of all stages."""
        return sum(stage.hours or 0 for stage in self.stages)


def make_plan(
    grid: Grid,
    jobs: Collection[PlannedJob],
    cores: int = 0,
    gpus: tuple[Gpu, ...] = (),
) -> Plan:
    """The plan of the jobs that would run.

    Args:
        grid: of the study.
        jobs: that would run, without those that only name others.
        cores: of this machine.
        gpus: GPU models that jobs may ask for.
    """
    resources = JobResources(grid, gpus)
    workload, history = resources.workload, History(resources)
    timed = history.job_seconds(jobs)
    compute = grid.study.compute
    sizes = _new_models(resources, jobs)
    trained = [job for job in jobs if job.rule == FINETUNE]
    return Plan(
        study=grid.name,
        stages=tuple(_stages(grid, jobs, timed)),
        unit="GPU-hours" if compute.gpus else "core-hours",
        cores=0 if compute.gpus else cores,
        recorded_jobs=sum(speed.jobs for speed in history.speeds.values()),
        counted=sum(size.counted for size in workload.sizes.values()),
        splits=len(workload.sizes),
        models=len(sizes),
        disk_bytes=sum(sizes) if grid.study.keep_models else max(sizes, default=0),
        free_bytes=shutil.disk_usage(Path()).free,
        keep_models=grid.study.keep_models,
        again=sum(job.again for job in jobs),
        costs=tuple(costs_of_trainings(resources)) if trained else (),
        notes=tuple(filter(None, [_asked(jobs, resources.choice), power_note(workload)])),
    )


def render(plan: Plan) -> str:
    """The plan as a small table."""
    if not any(stage.to_run for stage in plan.stages):
        return f"Plan of {plan.study}: nothing would run."
    lines = [
        f"Plan of {plan.study}: what this call would run",
        f"  {'':<12}{'in all':>9}{'to run':>9}{plan.unit:>12}",
    ]
    for stage in plan.stages:
        total = "" if stage.total is None else stage.total
        hours = "" if stage.hours is None else _shown(stage.hours)
        lines.append(f"  {stage.name:<12}{total:>9}{stage.to_run:>9}{hours:>12}".rstrip())
    clock = ""
    if plan.cores > 1:
        clock = f", at least {60 * plan.hours / plan.cores:.0f} minutes on {plan.cores} cores"
    lines.append(f"  {_shown(plan.hours)} {plan.unit} in all{clock}")
    lines.append(f"  estimated from {_speed(plan)} and {_sizes(plan)}")
    if plan.again:
        lines.append(f"  {plan.again} models were deleted (keep_models: false): trained again")
    if plan.models:
        more = f"{plan.models} more fine-tuned models"
        if not plan.keep_models:
            more = "each fine-tuned model that is there at a time (keep_models: false)"
        lines.append(
            f"  {plan.disk_bytes / 1e9:.2f} GB of disk for {more}, "
            f"{plan.free_bytes / 1e9:.0f} GB are free"
        )
    if len(plan.costs) > 1:
        wide = max(len(name) for name, *_ in plan.costs)
        lines.append(f"  {'one training':<{wide}}{'minutes':>9}{'GB memory':>11}{'GB disk':>9}")
        lines += [f"  {n:<{wide}}{a:>9.1f}{b:>11.1f}{c:>9.2f}" for n, a, b, c in plan.costs]
    return "\n".join([*lines, *(f"  {note}" for note in plan.notes)])


def costs_of_trainings(resources: JobResources) -> Iterable[tuple[str, float, float, float]]:
    """Costs of a training of each method and setting, on the first task that it has."""
    grid = resources.grid
    first: dict[tuple, Arm] = {}
    for arm in grid.arms.values():
        if arm.trained and arm.after is None:
            first.setdefault((arm.method, arm.setting), arm)
    for arm in first.values():
        name = ".".join(filter(None, [*arm.tuning, arm.setting]))
        memory = resources.finetune_memory(arm.name, 1) / 1e3
        if grid.study.compute.gpus:
            memory = resources.choice.of_arm(arm).gigabytes
        seconds = resources.finetune_seconds(arm.name)
        yield name, seconds / 60, memory, resources.model_bytes(arm.name) / 1e9


def _stages(
    grid: Grid, jobs: Collection[PlannedJob], seconds: dict[PlannedJob, float]
) -> Iterable[Stage]:
    models = [arm for _, arm in grid.models()]
    trained = sum(arm.made for arm in models)
    scored = sum(not arm.parent for arm in models)
    cells = len(models) * len(list(grid.scores()))
    compute = grid.study.compute
    on_gpus = compute.gpus > 0
    trainers = compute.gpus or compute.threads
    scorers = JobResources(grid).evaluation_gpus() or compute.threads

    def of(*rules: str) -> list[PlannedJob]:
        return [job for job in jobs if job.rule in rules]

    def hours(found: Sequence[PlannedJob], lanes: int) -> float:
        return lanes * sum(seconds[job] for job in found) / 3600

    if fetching := of(*FETCHING):
        yield Stage("fetch", len(fetching))
    if grid.model.source.kind == "pocket":
        pretraining = of(PRETRAIN)
        names = list(grid.model.source.checkpoints())
        total = 1 + max(names.index(name) for name in grid.checkpoints)
        yield Stage(
            "pre-train", len(pretraining), total, None if on_gpus else hours(pretraining, 1)
        )
    if grid.self_texts:
        writing = of(SELF_TEXT)
        at = {(c, grid.self_text_of(arm.name)) for c, arm in grid.models() if arm.trained}
        total = sum(text is not None for _, text in at)
        yield Stage("write text", len(writing), total, hours(writing, scorers))
    tuning, scoring = of(FINETUNE), of(EVALUATE)
    yield Stage(STAGES[FINETUNE], len(tuning), trained, hours(tuning, trainers))
    yield Stage(STAGES[EVALUATE], len(scoring), scored, hours(scoring, scorers))
    yield Stage("cells", sum(len(job.cells) for job in scoring), cells)
    named = {*FETCHING, PRETRAIN, SELF_TEXT, FINETUNE, EVALUATE}
    light = sum(job.rule not in named for job in jobs)
    yield Stage("other jobs", light, None, None if on_gpus else light * RATES["cpu"].light / 3600)


def _asked(jobs: Collection[PlannedJob], choice: GpuChoice) -> str:
    """How many jobs of models ask for which GPU model; empty if none is named."""
    told = []
    for rule, stage in STAGES.items():
        arms = Counter(present(job.arm, "arm") for job in jobs if job.rule == rule)
        counts: Counter[str] = Counter()
        for arm, count in arms.items():
            gpu = choice.training(arm) if rule == FINETUNE else choice.scoring()
            if gpu and gpu.name:
                counts[gpu.name] += count
        if counts:
            told.append(f"{stage} " + ", ".join(f"{n} on {name}" for name, n in counts.items()))
    return f"GPUs: {'; '.join(told)}" if told else ""


def _speed(plan: Plan) -> str:
    """Source of the hours."""
    if plan.recorded_jobs:
        return f"{plan.recorded_jobs} finished jobs of this study"
    usual = "a GPU (not measured)" if plan.unit == "GPU-hours" else "a CPU core"
    return f"the usual speed of {usual}"


def _sizes(plan: Plan) -> str:
    """Source of the data's sizes."""
    assumed = plan.splits - plan.counted
    if assumed:
        return f"assumed sizes of {assumed} of {plan.splits} splits"
    return f"{plan.splits} audited splits"


def _shown(hours: float) -> str:
    return f"{hours:.2f}" if hours < 10 else f"{hours:.1f}"


def _new_models(resources: JobResources, jobs: Iterable[PlannedJob]) -> list[int]:
    """Bytes of each model that is not on disk yet."""
    tuned = [job for job in jobs if job.rule == FINETUNE and not _exists(resources.grid, job)]
    return [resources.model_bytes(present(job.arm, "arm")) for job in tuned]


def _exists(grid: Grid, job: PlannedJob) -> bool:
    checkpoint, arm = present(job.checkpoint, "checkpoint"), present(job.arm, "arm")
    return Path(grid.results.tuned(checkpoint, arm)).exists()
