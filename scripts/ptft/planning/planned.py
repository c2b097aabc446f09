"""The jobs that a dry run plans, in the words of the study, from Snakemake's events of them.

An event tells a job's rule, wildcards, inputs, outputs and reason. Of an evaluation of a model that
is there, the cells to score are the difference between what its slice asks for and what the slice
that its record names did.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

from ptft.evaluation.cells import CellRequest, DerivedPlan, EvaluationPlan, cells_of_plan
from ptft.evaluation.records import names_in, recorded_slice
from ptft.paths import cell_file
from ptft.planning.expected import EVALUATE, FETCHING, FINETUNE, PRETRAIN, PlannedJob, Score
from ptft.study.grid import Grid
from ptft.study.slices import evaluation_slice

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
