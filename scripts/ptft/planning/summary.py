"""How a run ended, in one line that can be mailed."""

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ptft.planning.progress import Progress
from ptft.study.grid import Grid

PATIENCE = 60
"""seconds that the `notify` command may take"""


@dataclass(frozen=True)
class RunEnd:
    """Tells how a run ended.

    Attributes:
        grid: of the study; None: nothing is trained or scored, so nothing is told.
        command: the site's `notify`.
        quiet: whether something else writes to the terminal.
        begun: when the run began.
    """

    grid: Grid | None
    command: str | None
    quiet: bool
    begun: float = field(default_factory=time.monotonic)

    def tell(self, succeeded: bool) -> None:
        """Print in one line how the run ended, and give the line to the site's command."""
        if self.grid is None:
            return
        summary = run_summary(self.grid, succeeded, time.monotonic() - self.begun)
        if not self.quiet:
            print(summary, file=sys.stderr)
        if problem := tell(summary, self.command):
            print(problem, file=sys.stderr)


def run_summary(grid: Grid, succeeded: bool, seconds: float, folder: Path = Path()) -> str:
    """One line: study, how it ended, trainings and evaluations by state, hours, report.

    Args:
        grid: of the study.
        succeeded: whether Snakemake ended well.
        seconds: that the run took.
        folder: working directory of the study.
    """
    progress = Progress(grid, folder)
    states = [job.state for job in progress.jobs()]
    done, failed = states.count("done"), states.count("failed") + states.count("lost")
    report = folder / progress.results.report
    place = report if report.exists() else "no report yet"
    return (
        f"{grid.name} {'ended' if succeeded else 'FAILED'}: {done:,} of {len(states):,} trainings "
        f"and evaluations done, {failed:,} failed, {len(states) - done - failed:,} left; "
        f"{seconds / 3600:.1f} hours; {place}"
    )


def tell(summary: str, command: str | None) -> str | None:
    """Give a summary to a command, on its standard input; no shell reads the command.

    Returns:
        a message if that failed; the study does not fail.
    """
    if command is None:
        return None
    try:
        done = subprocess.run(
            shlex.split(command), input=f"{summary}\n", text=True, timeout=PATIENCE,
            capture_output=True, check=False,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"notify: {command!r} could not tell how the run ended: {error}"
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        return f"notify: {command!r} ended with status {done.returncode}: {said}"
    return None
