"""A run in two lines: what is done, left and running.

It reads Snakemake's log events: which jobs there are, start and end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ptft.runtime.bars import clock

if TYPE_CHECKING:
    from ptft.planning.jobs import Expected, JobKey

STAGES = {
    "checkpoints": "pretrain_checkpoint",
    "fetched": "fetch_pin",
    "tuned": "finetune_model",
    "scored": "evaluate_model",
}
"""what is told of a stage -> the rule whose jobs are counted"""
BAR = 12
TAIL = 300
"""bytes of a log's end that are read"""
AMOUNT = re.compile(r": (\d[\d.]*/\d[\d.]* \S+), \S+(?: time)? left")
"""of a line such as ``evaluate: 40/160 examples, 0:35 left``"""
TRUSTED = 60.0
"""seconds at the expected speed that count as much as those that were measured in this run"""


@dataclass
class Running:
    """A job at work."""

    message: str
    key: JobKey
    since: float
    logs: Sequence[str] = ()


@dataclass
class RunLines:
    """The state of a run, in words. Times are seconds of any one clock."""

    begun: float
    totals: Mapping[str, int] = field(default_factory=dict)
    """rule -> its jobs in this run"""
    expected: Expected | None = None
    done: Counter = field(default_factory=Counter)
    """rule -> its finished jobs"""
    running: dict[int, Running] = field(default_factory=dict)
    _rules: dict[int, str] = field(default_factory=dict)
    _finished: float = 0.0

    @property
    def seen(self) -> bool:
        """Whether any job has begun."""
        return bool(self._rules)

    @property
    def complete(self) -> bool:
        """Whether every job has ended well."""
        return self.seen and self.done.total() >= self.totals.get("total", 0)

    @property
    def jobs(self) -> int:
        """Jobs of the run, without those that only name others."""
        return self.totals.get("total", 0) - self.totals.get("all", 0)

    @property
    def jobs_done(self) -> int:
        """Of these, the finished ones."""
        return self.done.total() - self.done["all"]

    def start(
        self, job: int, message: str, key: JobKey, now: float, logs: Sequence[str] = ()
    ) -> None:
        """A job begins, whose program writes these logs."""
        self._rules[job] = key[0]
        self.running[job] = Running(message, key, now, logs)

    def finish(self, job: int) -> None:
        """A job has ended well."""
        self.done[self._rules[job]] += 1
        self._finished += self._seconds(self.running.pop(job).key)

    def fail(self, job: int) -> None:
        """A job has failed; it may be started again."""
        self.running.pop(job, None)

    def share(self, now: float) -> float:
        """Share of the work that is done: of its expected seconds, else of the jobs."""
        if self.expected is None:
            return self.jobs_done / self.jobs if self.jobs else 0.0
        return self._done(now) / (self.expected.total or 1.0)

    def left(self, now: float) -> float | None:
        """Seconds until the end, at the speed so far; None where nothing is expected."""
        if self.expected is None:
            return None
        done = self._done(now)
        speed = (done + TRUSTED * self.expected.lanes) / (now - self.begun + TRUSTED)
        return (self.expected.total - done) / speed

    def how_far(self, now: float) -> str:
        """``57/104 jobs · tuned 11/24 · scored 16/30 · 5:12, about 4:30 left``."""
        if not self.totals:
            return f"reading the study, looking what there is to do · {self.took(now)}"
        told = [f"{self.jobs_done}/{self.jobs} jobs"]
        for stage, rule in STAGES.items():
            if self.totals.get(rule):
                told.append(f"{stage} {self.done[rule]}/{self.totals[rule]}")
        left = self.left(now)
        about = "" if left is None else f", about {clock(10 * max(1, round(left / 10)))} left"
        return " · ".join([*told, self.took(now) + about])

    def took(self, now: float) -> str:
        """Time since the run began."""
        return clock(now - self.begun)

    def bar(self, now: float) -> str:
        """``█████████░░░``: the share of the work."""
        full = int(BAR * self.share(now))
        return "█" * full + "░" * (BAR - full)

    def at_work(self, now: float) -> str:
        """``now: Fine-tune step800 (0:42, 40/160 updates)``, the job that runs longest first."""
        told = [
            f"{job.message} ({', '.join([clock(now - job.since), *amount(job.logs)])})"
            for job in self.running.values()
        ]
        return f"now: {' · '.join(told)}" if told else ""

    def _seconds(self, key: JobKey) -> float:
        return self.expected.seconds(key) if self.expected else 0.0

    def _done(self, now: float) -> float:
        """Expected seconds of what is done; a job at work counts as far as its time goes."""
        at_work = (min(now - job.since, self._seconds(job.key)) for job in self.running.values())
        return self._finished + sum(at_work)


def amount(logs: Sequence[str]) -> list[str]:
    """How much of a job is done, by the last line of its log (``ptft.runtime.bars``); else none."""
    for name in logs[:1]:
        try:
            with Path(name).open("rb") as log:
                log.seek(max(0, log.seek(0, 2) - TAIL))
                lines = log.read().decode(errors="replace").split()
        except OSError:
            return []
        line = " ".join(lines)
        found = AMOUNT.findall(line)
        return found[-1:]
    return []
