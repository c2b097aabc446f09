"""A night on a cluster in small: a real Slurm on this machine, where jobs die at
random, the controller is away once, and Snakemake is killed once.

It ends with the tables of an undisturbed run, or says where they differ. Needs root and Slurm, as
the tests of tests/slurm do.

    python benchmarks/rehearsal.py                     # results/rehearsal.json
    python benchmarks/rehearsal.py --quiet --models 2 --nodes 1 --slots 1  # what a job costs alone
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

from tests.slurm.cluster import Cluster, kill, processes_of_job, started, why_not  # noqa: E402
from tests.slurm.study import Study, clone, link_resources  # noqa: E402

from ptft.runtime.gpus import CPU_STANDS_IN  # noqa: E402

CHECKPOINTS = 2
"""of the study of tests/slurm"""
GPU_RULES = ("finetune_model", "evaluate_model")


@dataclass
class Night:
    """Events of a study while it runs."""

    study: Study
    dying: float
    """share of the jobs that are killed at a random moment"""
    draw: random.Random = field(default_factory=lambda: random.Random(0))
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Slurm id -> what was last seen of it"""
    begun: set[str] = field(default_factory=set)
    doomed: dict[str, float] = field(default_factory=dict)
    """Slurm id of a running job -> when it is killed"""
    struck: Counter = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Note the state of each job, and kill some, until it is over."""
        while not self.over.wait(1):
            self._look()
            for job, moment in list(self.doomed.items()):
                if time.time() > moment:
                    del self.doomed[job]
                    processes = processes_of_job(job, with_slurms=False)
                    self.struck["jobs killed"] += bool(processes)
                    for process in processes:
                        kill(process, signal.SIGKILL)
        self._look()

    def _look(self) -> None:
        """Note the state of each job, and choose who is to die of those that have begun."""
        for job in seen(self.study.cluster).values():
            self.jobs[job["id"]] = job
            if job["state"] == "RUNNING" and job["id"] not in self.begun:
                self.begun.add(job["id"])
                if self.draw.random() < self.dying:
                    self.doomed[job["id"]] = time.time() + self.draw.uniform(0, 20)

    def disturb(self, models: int) -> None:
        """Lose the controller after a third of the models, and Snakemake after two thirds."""
        self.wait_for(models // 3)
        self.study.cluster.lose_controller(requests=12)
        self.struck["controller away"] += 1
        self.wait_for(2 * models // 3)
        self.study.process.kill()
        self.study.process.wait()
        self.struck["Snakemake killed"] += 1
        self.study.start()

    def wait_for(self, models: int) -> None:
        """Wait until so many models are there, or the call has ended."""
        while self.study.process.poll() is None and self.models() < models:
            time.sleep(1)

    def models(self) -> int:
        """How many models are there."""
        return len(list(self.study.results.glob("models/*/*/training.json")))


def make_study(folder: Path, models: int, cluster: Cluster | None) -> Study:
    """The study of the tests with so many tuned models."""
    study = Study(clone(REPOSITORY, folder), cluster, pace=[])
    study.narrow("[step4, step16]", str(list(range(models // CHECKPOINTS))))
    return study


def seen(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Slurm id -> id, start, end and state of each job that the controller remembers."""
    command = ["squeue", "--all", "--states=all", "--noheader", "-o", "%i|%S|%e|%T"]
    names = ("id", "started", "ended", "state")
    lines = cluster.call(*command, check=False).splitlines()
    return {line.split("|")[0]: dict(zip(names, line.split("|"), strict=True)) for line in lines}


def overhead(
    work: list[tuple[str, float, float]], jobs: dict[str, dict[str, str]]
) -> dict[str, float]:
    """Median seconds that a GPU is allocated before and after a job's work; Slurm's are whole.

    Args:
        work: Slurm id, start and end (seconds since 1970) of each.
    """
    before, after = [], []
    for job, start, end in work:
        allocated, freed = (
            datetime.fromisoformat(jobs[job][moment]).timestamp() for moment in ("started", "ended")
        )
        before.append(start - allocated)
        after.append(freed - end)
    return {
        "jobs": len(work),
        "before": round(statistics.median(before), 1),
        "after": round(statistics.median(after), 1),
    }


def work_of(night: Night) -> list[tuple[str, float, float]]:
    """Jobs that ended well: Slurm id, start, end."""
    records = [
        record
        for rule in GPU_RULES
        for attempts in night.study.records(rule).values()
        for record in attempts
    ]
    done = [record for record in records if record.status == 0]
    return [
        (record.slurm_job, record.started, record.ended)
        for record in done
        if night.jobs[record.slurm_job]["state"] == "COMPLETED"
    ]


def differences(study: Study, reference: Study) -> list[str]:
    """Tables that are not those of another run."""
    tables = sorted((reference.results / "tables").glob("*.csv"))
    return [
        table.name
        for table in tables
        if table.read_bytes() != (study.results / "tables" / table.name).read_bytes()
    ]


def pass_night(night: Night, models: int) -> float:
    """Run the study to its end; seconds that it took.

    Args:
        models: how many it makes, to be disturbed in their middle; 0 for a quiet night.
    """
    watcher = threading.Thread(target=night.watch)
    begun = time.time()
    try:
        watcher.start()
        night.study.start()
        if models:
            night.disturb(models)
        night.study.finish()
        return time.time() - begun
    finally:
        night.over.set()
        watcher.join()
        night.study.end()


def rehearse(args: argparse.Namespace, root: Path) -> dict:
    """Run the study on this machine alone, then on a cluster through a night; what was found."""
    reference = make_study(root / "reference", args.models, None)
    reference.run_here()
    with started(root / "slurm", nodes=args.nodes, gpus=args.slots) as cluster:
        study = make_study(root / "study", args.models, cluster)
        link_resources(reference.root, study.root)
        night = Night(study, 0 if args.quiet else args.dying)
        seconds = pass_night(night, 0 if args.quiet else args.models)
    return {
        "models": night.models(),
        "cells": len(study.cells()),
        "slurm_jobs": len(night.jobs),
        "states": dict(Counter(job["state"] for job in night.jobs.values())),
        "struck": dict(night.struck),
        "minutes": round(seconds / 60, 1),
        "overhead_seconds": overhead(work_of(night), night.jobs),
        "differing_tables": differences(study, reference),
    }


def main(argv: list[str] | None = None) -> None:
    """Rehearse, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=100, help="tuned models")
    parser.add_argument("--nodes", type=int, default=3, help="of the cluster")
    parser.add_argument("--slots", type=int, default=3, help="stand-in GPUs of each node")
    parser.add_argument("--dying", type=float, default=0.02, help="share of jobs that are killed")
    parser.add_argument("--quiet", action="store_true", help="nothing happens")
    output = REPOSITORY / "benchmarks/results/rehearsal.json"
    parser.add_argument("--output", type=Path, default=output)
    args = parser.parse_args(argv)
    if reason := why_not():
        sys.exit(reason)
    os.environ[CPU_STANDS_IN] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as root:
        found = rehearse(args, Path(root))
    about = {"cpus": os.cpu_count(), "machine": platform.machine(), "date": str(date.today())}
    result = json.loads(args.output.read_text()) if args.output.exists() else {}
    result["quiet" if args.quiet else "night"] = about | {"slots": args.nodes * args.slots} | found
    args.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    sys.exit(bool(found["differing_tables"]))


if __name__ == "__main__":
    main()
