"""Status of a study: its grid of checkpoints x arms, and each failure's log."""

from ptft.planning.progress import FINETUNE, JobStatus, Progress
from ptft.runtime.causes import cause, log_lines
from ptft.study.grid import Grid

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
