"""What Snakemake decided to run: the plan that a dry run prints, and the expected time of a run.

The plan is made when Snakemake logs that it has chosen the jobs, and printed when Snakemake closes
its log, below its own lists.
"""

import ast
import json
import logging
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake_interface_logger_plugins.common import LogEvent

from ptft.evaluation.cells import CellRequest, DerivedPlan, EvaluationPlan, cells_of_plan
from ptft.evaluation.published import names_in
from ptft.paths import Results, cell_file
from ptft.planning.expected import EVALUATE, FINETUNE, PRETRAIN, PlannedJob, Score, expected_run
from ptft.planning.gpus import Gpu
from ptft.planning.plan import FETCHING, cells_to_score, make_plan, render
from ptft.runtime.run_lines import Expected
from ptft.study.grid import Grid
from ptft.study.slices import evaluation_slice

MODEL_MAKERS = {FINETUNE, PRETRAIN, *FETCHING}
PREPARE, DIGEST = "prepare_split", "digest_splits"


class PlanPrinter(logging.Handler):
    """Log handler that prints the plan at the end of a dry run."""

    def __init__(self, workflow: Any, grid: Grid, gpus: tuple[Gpu, ...]) -> None:
        super().__init__()
        self.workflow, self.grid, self.gpus = workflow, grid, gpus
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Make the plan, once the jobs are chosen."""
        chosen = getattr(record, "event", None) == LogEvent.RUN_INFO
        if not self.text and (chosen or record.msg == NOTHING_TO_BE_DONE_MSG):
            jobs = Decided(self.workflow, self.grid).jobs()
            cores, at_once = _room(self.workflow, self.grid)
            plan = make_plan(self.grid, jobs, cores, at_once=at_once, gpus=self.gpus)
            self.text = render(plan)

    def close(self) -> None:
        """Print the plan, if there is one."""
        if self.text:
            print(self.text, flush=True)
            self.text = ""
        super().close()


def expected_of(workflow: Any, grid: Grid, gpus: tuple[Gpu, ...]) -> Expected:
    """Expected time of the jobs that Snakemake will run."""
    cores, at_once = _room(workflow, grid)
    jobs = Decided(workflow, grid).jobs()
    return expected_run(grid, jobs, cores, at_once=at_once, gpus=gpus)


def _room(workflow: Any, grid: Grid) -> tuple[int, int | None]:
    """CPU cores that local jobs share (0: jobs run elsewhere, or no number is given), and how many
    jobs of models run at a time (None: unknown)."""
    resources, compute = workflow.resource_settings, grid.study.compute
    if resources.nodes is not None:
        return 0, resources.nodes
    cores = resources.cores or 0
    if compute.gpus:
        gpus = workflow.global_resources.get("gpu").value or 0
        return cores, max(1, gpus // compute.gpus)
    return cores, max(1, cores // compute.threads) if cores else None


@dataclass(frozen=True)
class Asked:
    """What an evaluation is asked to score."""

    version: int
    cells: frozenset[CellRequest]
    derived: dict[str, DerivedPlan]


class Decided:
    """What Snakemake decided to run, in the words of the study."""

    def __init__(self, workflow: Any, grid: Grid) -> None:
        self.dag, self.persistence, self.grid = workflow.dag, workflow.persistence, grid
        self.results = Results(grid.name)

    def jobs(self) -> list[PlannedJob]:
        """Every job that would run, without rules that only name others."""
        chosen = self.dag.needrun_jobs(exclude_finished=False)
        return [self._planned(job) for job in chosen if not job.is_norun]

    def _planned(self, job: Any) -> PlannedJob:
        rule, known = job.rule.name, job.wildcards_dict
        checkpoint, arm = known.get("checkpoint"), known.get("arm")
        arms = self._cells(job, checkpoint, arm) if rule == EVALUATE else [()]
        cells = tuple(score for scores in arms for score in scores)
        derived = sum(map(bool, arms[1:]))
        return PlannedJob(rule, checkpoint, arm, cells, derived, self._made_again(job))

    def _made_again(self, job: Any) -> bool:
        """Whether a model is trained only because it was deleted after it was scored."""
        if job.rule.name != FINETUNE or self.grid.study.keep_models:
            return False
        known, reason = job.wildcards_dict, self.dag.reason(job)
        changed = reason.is_provenance_triggered() or reason.updated_input
        changed = changed or reason.updated_input_run or reason.forced
        records = self.results.training_records(known["checkpoint"], known["arm"])
        return bool(reason.missing_output) and not changed and Path(records).exists()

    def _new_model(self, job: Any) -> bool:
        """Whether a job may change a model: training again gives the same bits only on a CPU."""
        again = self._made_again(job) and not self.grid.study.compute.gpus
        return job.rule.name in MODEL_MAKERS and not again

    def _run_before(self, job: Any) -> list[Any]:
        """Jobs whose outputs a job reads that would run, too."""
        return [found for found in self.dag.dependencies[job] if self.dag.needrun(found)]

    def _cells(self, job: Any, checkpoint: str, arm: str) -> list[tuple[Score, ...]]:
        """Cells that an evaluation would score: those of its model, then of each derived arm."""
        names = [arm, *(child.name for child in self.grid.parents[arm])]
        before = self._run_before(job)
        record = job.output[0]
        if any(map(self._new_model, before)) or not self._store_exists or not Path(record).exists():
            return [self._all] * len(names)
        # Splits are inputs of a digest, or of the evaluations of a study that began without one.
        digests = [found for found in before if found.rule.name == DIGEST]
        data = chain(before, *map(self._run_before, digests))
        new_data = {found.wildcards.dataset for found in data if found.rule.name == PREPARE}
        found = []
        for name in names:
            there = names_in(Path(self.results.evaluation(checkpoint, name)))
            in_place = {score for score, file in self._files.items() if file in there}
            asked = self._asked_before(record, arm, name)
            if asked is None:
                asked = () if self.dag.reason(job).params_changed else self._all
            found.append(cells_to_score(self._all, in_place, asked, new_data))
        return found

    @cached_property
    def _all(self) -> tuple[Score, ...]:
        return tuple(self.grid.scores())

    @cached_property
    def _files(self) -> dict[Score, str]:
        return {score: cell_file(*score) for score in self._all}

    @cached_property
    def _store_exists(self) -> bool:
        return Path(self.results.cell_store).exists()

    @cached_property
    def _wanted(self) -> dict[str, Asked]:
        """Arm that a job scores -> what the job is asked to score."""
        return {
            arm: _scoring(cast(EvaluationPlan, evaluation_slice(self.grid, arm)))
            for arm in self.grid.parents
        }

    def _asked_before(self, record: str, arm: str, name: str) -> Collection[Score] | None:
        """Cells that the job's last run was asked for, unchanged since; None: unknown.

        Args:
            record: of the job.
            arm: that the job scores.
            name: of that arm, or of an arm derived from it.
        """
        before = _recorded_scoring(tuple(self.persistence.params(record) or ()))
        if before is None:
            return None
        now = self._wanted[arm]
        if (before.version, before.derived.get(name)) != (now.version, now.derived.get(name)):
            return ()
        return {(cell.dataset, cell.format, cell.shots) for cell in now.cells & before.cells}


def _scoring(plan: EvaluationPlan) -> Asked:
    cells = frozenset(cells_of_plan(plan))
    return Asked(plan["scoring_version"], cells, plan.get("derived", {}))


@lru_cache(maxsize=16)
def _recorded_scoring(params: tuple[str, ...]) -> Asked | None:
    """An evaluation's slice among the recorded parameters of its job (their ``repr``)."""
    for param in params:
        if "scoring_version" in param:
            try:
                return _scoring(json.loads(ast.literal_eval(param)))
            except (KeyError, ValueError):  # written by an earlier version of the workflow
                return None
    return None
