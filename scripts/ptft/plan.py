"""A study before it runs: jobs by stage, cells, GPU-hours and disk, the last two estimated."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from ptft.demands import Demands
from ptft.progress import EVALUATE, FINETUNE, Progress
from ptft.study.grid import Grid


@dataclass(frozen=True)
class Stage:
    """One line of the plan."""

    name: str
    total: int
    done: int
    hours: float | None = None
    """of what is to do, estimated"""

    @property
    def todo(self) -> int:
        """What is left."""
        return self.total - self.done


@dataclass(frozen=True)
class Plan:
    """What a study still has to do."""

    study: str
    stages: tuple[Stage, ...]
    unit: str
    """what the hours are of: GPU or machine"""
    disk_bytes: int
    """of the fine-tuned models that are to do, if all are kept"""
    free_bytes: int


def make_plan(grid: Grid, folder: Path = Path()) -> Plan:
    """The plan of a study in a working directory, by what its results folder holds."""
    demands, jobs = Demands(grid), list(Progress(grid, folder).jobs())
    tuning = [job for job in jobs if job.rule == FINETUNE]
    scoring = [job for job in jobs if job.rule == EVALUATE]
    open_tuning = [job for job in tuning if job.state != "done"]
    per_arm = {name: demands.finetune_seconds(name) for name, arm in grid.arms.items() if arm.task}
    per_job = demands.evaluate_seconds()
    per_cell = len(list(grid.scores()))
    left = sum(1 - job.cells_done / per_cell for job in scoring)
    gpus = max(grid.study.compute.gpus, 1)
    stages = (
        Stage(
            "fine-tune",
            len(tuning),
            len(tuning) - len(open_tuning),
            sum(per_arm[job.arm] for job in open_tuning) * gpus / 3600,
        ),
        Stage(
            "evaluate",
            len(scoring),
            sum(job.state == "done" for job in scoring),
            left * per_job * gpus / 3600,
        ),
        Stage("cells", per_cell * len(scoring), sum(job.cells_done for job in scoring)),
    )
    free = shutil.disk_usage(_existing(folder.resolve())).free
    unit = "GPU-hours" if grid.study.compute.gpus else "hours"
    return Plan(grid.name, stages, unit, len(open_tuning) * demands.model_bytes, free)


def render(plan: Plan) -> str:
    """The plan as a small table."""
    lines = [
        f"Plan of {plan.study}, by what is there (hours and disk are estimates, see docs/slurm.md)",
        f"  {'':<10}{'all':>9}{'done':>9}{'to do':>9}{plan.unit:>12}",
    ]
    for stage in plan.stages:
        hours = "" if stage.hours is None else f"{stage.hours:.1f}"
        row = f"{stage.total:>9}{stage.done:>9}{stage.todo:>9}{hours:>12}"
        lines.append(f"  {stage.name:<10}{row}".rstrip())
    total = sum(stage.hours or 0 for stage in plan.stages)
    lines.append(f"  {total:.1f} {plan.unit} in all")
    lines.append(
        f"  {plan.disk_bytes / 1e9:.1f} GB of disk for fine-tuned models, "
        f"{plan.free_bytes / 1e9:.0f} GB are free"
    )
    return "\n".join(lines)


def is_dry_run(arguments: list[str]) -> bool:
    """Whether Snakemake was called to show what it would do."""
    short = [word for word in arguments if word.startswith("-") and not word.startswith("--")]
    return "--dry-run" in arguments or "--dryrun" in arguments or any("n" in w for w in short)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
