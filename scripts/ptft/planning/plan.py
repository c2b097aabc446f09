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


class Plan:
    """The jobs that would run, as a small table.

    Args:
        grid: of the study.
        jobs: that would run, without those that only name others.
        cores: of this machine.
        gpus: GPU models that jobs may ask for.

    Attributes:
        stages: its lines.
        hours: of all stages, of GPUs or CPU cores.
        new_models: bytes of each fine-tuned model that is not on disk yet.
        costs: of each method and setting on the first task: its name, minutes of a training, GB of
            memory (a GPU's, where there is one), GB of disk.
    """

    def __init__(
        self,
        grid: Grid,
        jobs: Collection[PlannedJob],
        cores: int = 0,
        gpus: tuple[Gpu, ...] = (),
    ) -> None:
        self.grid, self.jobs, self.cores = grid, jobs, cores
        self.resources = JobResources(grid, gpus)
        self.history = History(self.resources)
        self.stages = tuple(_stages(grid, jobs, self.history.job_seconds(jobs)))
        self.hours = sum(stage.hours or 0 for stage in self.stages)
        trained = [job for job in jobs if job.rule == FINETUNE]
        self.new_models = [
            self.resources.model_bytes(present(job.arm, "arm"))
            for job in trained
            if not _exists(grid, job)
        ]
        self.costs = tuple(costs_of_trainings(self.resources)) if trained else ()

    def __str__(self) -> str:
        if not any(stage.to_run for stage in self.stages):
            return f"Plan of {self.grid.name}: nothing would run."
        study, on_gpus = self.grid.study, self.grid.study.compute.gpus > 0
        unit = "GPU-hours" if on_gpus else "core-hours"
        lines = [
            f"Plan of {self.grid.name}: what this call would run",
            f"  {'':<12}{'in all':>9}{'to run':>9}{unit:>12}",
        ]
        for stage in self.stages:
            total = "" if stage.total is None else stage.total
            hours = "" if stage.hours is None else _shown(stage.hours)
            lines.append(f"  {stage.name:<12}{total:>9}{stage.to_run:>9}{hours:>12}".rstrip())
        clock = ""
        if self.cores > 1 and not on_gpus:
            clock = f", at least {60 * self.hours / self.cores:.0f} minutes on {self.cores} cores"
        lines.append(f"  {_shown(self.hours)} {unit} in all{clock}")
        lines.append(f"  estimated from {self._sources()}")
        if again := sum(job.again for job in self.jobs):
            lines.append(f"  {again} models were deleted (keep_models: false): trained again")
        if self.new_models:
            taken = sum(self.new_models) if study.keep_models else max(self.new_models)
            more = f"{len(self.new_models)} more fine-tuned models"
            if not study.keep_models:
                more = "each fine-tuned model that is there at a time (keep_models: false)"
            free = shutil.disk_usage(Path()).free
            lines.append(f"  {taken / 1e9:.2f} GB of disk for {more}, {free / 1e9:.0f} GB are free")
        if len(self.costs) > 1:
            wide = max(len(name) for name, *_ in self.costs)
            lines.append(f"  {'one training':<{wide}}{'minutes':>9}{'GB memory':>11}{'GB disk':>9}")
            lines += [f"  {n:<{wide}}{a:>9.1f}{b:>11.1f}{c:>9.2f}" for n, a, b, c in self.costs]
        notes = _asked(self.jobs, self.resources.choice), power_note(self.resources.workload)
        return "\n".join([*lines, *(f"  {note}" for note in notes if note)])

    def _sources(self) -> str:
        """Sources of the hours, and of the data's sizes."""
        sizes = self.resources.workload.sizes.values()
        recorded = sum(speed.jobs for speed in self.history.speeds.values())
        device = "a GPU (not measured)" if self.grid.study.compute.gpus else "a CPU core"
        speed = f"{recorded} finished jobs of this study"
        speed = speed if recorded else f"the usual speed of {device}"
        assumed = sum(not size.counted for size in sizes)
        told = f"assumed sizes of {assumed} of {len(sizes)} splits"
        return f"{speed} and {told if assumed else f'{len(sizes)} audited splits'}"


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


def _shown(hours: float) -> str:
    return f"{hours:.2f}" if hours < 10 else f"{hours:.1f}"


def _exists(grid: Grid, job: PlannedJob) -> bool:
    checkpoint, arm = present(job.checkpoint, "checkpoint"), present(job.arm, "arm")
    return Path(grid.results.tuned(checkpoint, arm)).exists()
