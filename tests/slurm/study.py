"""A study that is run on a cluster as a user would."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil

from ptft.runtime.job_records import JobRecord, read_records

from ..waiting import PATIENCE, Stops, hooked
from ..warm import run_snakemake, warm_programs
from ..workflow.conftest import RESOURCES, make_clone
from .cluster import Cluster

CELLS = "results/cluster/tables/cells.parquet"
# The profile's pauses would make up most of a test's time; without a setting they grow by ten
# seconds with each look at a job that still runs.
FAST = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
PAUSE = "1.5"
"""longest pause between two looks, in seconds"""


@dataclass
class Study:
    """A clone of the workflow with the study `cluster`, and the process that runs it."""

    root: Path
    cluster: Cluster | None = None
    process: subprocess.Popen | None = None
    calls: int = 0
    stops: Stops | None = None
    """of the trainings: each of a call that asks for it stops after its first saved state"""

    @property
    def results(self) -> Path:
        """Folder of what the study computed."""
        return self.root / "results/cluster"

    def run_here(self) -> None:
        """Run the study up to its cells, without the cluster."""
        arguments = [CELLS, "--cores", "2", "--configfile", "study.yaml"]
        status, output = run_snakemake(arguments, self.root, warm_programs())
        assert status == 0, output[-6000:]

    def start(self, *arguments: str, stops: int = 0) -> None:
        """Start a call of Snakemake that makes the cells.

        Args:
            stops: how many attempts of each training stop in their middle.
        """
        self.stop_trainings(stops)
        command = [sys.executable, "-m", "snakemake", CELLS, "--profile", "slurm", *FAST]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--configfile", "study.yaml", *arguments],
                cwd=self.root,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment | {"HF_TOKEN": "secret"},
            )

    @property
    def environment(self) -> dict[str, str]:
        """Of the latest call: pauses are short, and trainings stop if that was asked for."""
        stops = self.stops.environment() if self.stops and self.stops.times else {}
        return hooked(PTFT_TEST_PAUSE=PAUSE) | stops

    def stop_trainings(self, times: int) -> None:
        """Let attempts of each training of the next call stop in their middle."""
        self.calls += 1
        folder = self.root.parent / f"stops{self.calls}"
        self.stops = Stops(folder, f"{self.results}/state/finetune/*/state.pt", times=times)

    def finish(self) -> str:
        """Wait for the call's end; its output."""
        status = self.process.wait(PATIENCE)
        output = self.log.read_text()
        assert status == 0, output[-6000:]
        return output

    @property
    def log(self) -> Path:
        """Output of the latest call."""
        return self.root / f"call{self.calls}.log"

    def narrow(self, checkpoints: str, seeds: str) -> None:
        """Make the study smaller, where a test needs no more."""
        file = self.root / "study.yaml"
        text = file.read_text().replace("[step4, step16]", checkpoints)
        file.write_text(text.replace("seeds: [0, 1]", f"seeds: {seeds}"))

    def cells(self) -> pl.DataFrame:
        """The table that all of this is about."""
        return pl.read_parquet(self.root / CELLS)

    def assert_cells_equal(self, reference: "Study") -> None:
        """The cells are those of another run, as far as this study is one with it."""
        cells = self.cells()
        expected = reference.cells().join(cells, on=["checkpoint", "arm"], how="semi")
        assert len(cells) >= 4 and cells.equals(expected)

    def records(self, rule: str) -> dict[str, list[JobRecord]]:
        """`checkpoint/arm` -> attempts of the rule's jobs."""
        folder = self.results / "state/jobs" / rule
        return {
            str(path.relative_to(folder)): read_records(path) for path in sorted(folder.glob("*/*"))
        }

    def hold(self) -> tuple[str, str, int]:
        """Wait for a training to stop in its middle.

        Returns:
            its Slurm id, its `checkpoint/arm` and its process.
        """
        file, process = self.stops.next(self.process)
        environment = psutil.Process(process).environ()
        return environment["SLURM_JOB_ID"], "/".join(file.parts[-3:-1]), process

    def end(self) -> None:
        """Stop a call that a failed test left behind, and its jobs."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def link_resources(source: Path, target: Path) -> None:
    """Put another run's checkpoints and texts into a clone, as hard links."""
    for part in RESOURCES:
        shutil.copytree(source / part, target / part, copy_function=os.link)


def clone(repository: Path, root: Path) -> Path:
    """A copy of the workflow with the profile and the study."""
    made = make_clone(repository, root, "cluster")
    shutil.copytree(repository / "slurm", root / "slurm")
    return made.root


def copy(source: Path, target: Path) -> None:
    """Copy a folder or a file, times included."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def is_struck(process: int, number: signal.Signals) -> bool:
    """Whether a held process has been sent a signal; Slurm may have woken and ended it by now."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return True
    masks = [
        line.split()[1] for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))
    ]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)
