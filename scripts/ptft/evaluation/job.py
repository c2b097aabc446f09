"""One evaluation job: a model is loaded once and scored on every cell that the store lacks.

Arms that are derived from it are scored by the same job, with their weights in its place.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from ptft.data.jsonl import count_examples, read_all, read_examples
from ptft.evaluation.arms import ScoredArm, derived_engine, derived_hash, keys_of
from ptft.evaluation.requests import CellRequest, EvaluationPlan, cells_of_plan, require_backend
from ptft.evaluation.scoring import evaluate_cell
from ptft.evaluation.store import to_frame
from ptft.files.parquet_files import write_frame
from ptft.files.slice_files import read_slice
from ptft.inference.engine import Engine
from ptft.inference.model import Target, load_for_scoring, target_here
from ptft.inference.recorded_steps import record_steps
from ptft.inference.vllm_engine import VllmEngine
from ptft.models.derive.base import Parent
from ptft.models.folder import hash_model, keep_records
from ptft.runtime.bars import progress
from ptft.runtime.job_records import note
from ptft.runtime.locks import exclusive

log = logging.getLogger("evaluate_model")


class CellsFailed(RuntimeError):
    """Some cells could not be scored; the others are kept in the store."""


@dataclass(frozen=True)
class EvaluationJob:
    """Where one evaluation finds and leaves things.

    Attributes:
        model: model folder.
        checkpoint: what the model is an adapter of, if it is one.
        data: folder of prepared datasets.
        plan: what to score, a slice of the study.
        store: finished cells by key.
        published: record of the cells, written when all are in place; the job's declared output.
        output: folder of the cells asked for.
        records: where the model's training records are kept, if the model is not.
    """

    model: Path
    checkpoint: Path | None
    data: Path
    plan: Path
    store: Path
    published: Path
    output: Path
    records: Path | None = None

    @cached_property
    def parent(self) -> Parent:
        """The model, as what other weights are derived from."""
        return Parent(self.model, self.checkpoint or self.model)

    @property
    def base(self) -> Path | None:
        """The checkpoint that the model was made of; None where the model is one itself."""
        return None if self.checkpoint == self.model else self.checkpoint


def evaluate(job: EvaluationJob) -> None:
    """Score what the store lacks and publish all that is asked for.

    Raises:
        CellsFailed: after all others were scored; nothing is published.
    """
    model_hash = hash_model(job.model, job.checkpoint)
    # A job that a dead main process left behind may be at the same work: wait for its cells.
    with exclusive(job.store / model_hash):
        target = target_here()
        arms = list(scored_arms(job, read_slice(job.plan, EvaluationPlan), model_hash, target))
        asked = sum(len(arm.keys) for arm in arms)
        missing = [cell for arm in arms for cell in arm.missing]
        note(cells=asked, reused=asked - len(missing))
        log.info("%d cells, %d of them in the store", asked, asked - len(missing))
        if missing:
            sizes = split_sizes(missing, job.data)
            note(examples=sum(sizes[cell.dataset] for cell in missing))
            _score(job, arms, load_engine(job, missing, target), target, asked)
        for arm in reversed(arms):  # the model's own record, which the job declares, comes last
            arm.publish()
    if job.records is not None:
        keep_records(job.model, job.records)


def scored_arms(
    job: EvaluationJob, plan: EvaluationPlan, model_hash: str, target: Target
) -> Iterator[ScoredArm]:
    """The model as it is, then each arm that is derived from it, in a folder beside its own."""
    cells, version = cells_of_plan(plan), plan["scoring_version"]
    text = any(cell.kind == "text" for cell in cells)

    def keys(own: str, base: Path | None) -> dict[CellRequest, str]:
        compared = hash_model(base) if text and base else None
        return keys_of(cells, own, job.data, version, target, compared)

    own = keys(model_hash, job.base)
    yield ScoredArm(job.output, job.published, own, job.store, job.base)
    for name, spec in plan.get("derived", {}).items():
        base = job.parent.checkpoint
        derived = keys(derived_hash(model_hash, spec, job.parent), base)
        record = job.published.with_name(f"{name}{job.published.suffix}")
        yield ScoredArm(job.output.parent / name, record, derived, job.store, base, spec)


def _score(
    job: EvaluationJob, arms: list[ScoredArm], engine: Engine, target: Target, asked: int
) -> None:
    failed: dict[str, Exception] = {}
    base: torch.nn.Module | None = None
    for arm in arms:
        if not arm.missing:
            continue
        if arm.derived is not None:
            engine = derived_engine(engine, arm.derived, job.parent)
        if base is None and arm.base and any(cell.kind == "text" for cell in arm.missing):
            base = load_for_scoring(arm.base, target=target).model
        prefix = "" if arm.derived is None else f"{arm.output.name} "
        errors = score_missing(engine, arm.missing, job.data, base)
        failed |= {f"{prefix}{cell.name}": error for cell, error in errors.items()}
    if torch.cuda.is_available():
        note(gpu_gib=engine.gpu_memory() / 2**30)
    if failed:
        told = [f"cell {name} failed: {type(e).__name__}: {e}" for name, e in failed.items()]
        for sentence in told[1:]:
            log.error(sentence)
        raise CellsFailed(
            f"{told[0]} ({len(failed)} of {asked} cells failed; the others are kept in the store)"
        )


def score_missing(
    engine: Engine,
    missing: dict[CellRequest, Path],
    data: Path,
    base: torch.nn.Module | None = None,
) -> dict[CellRequest, Exception]:
    """Score cells one after another into the store; a failing cell does not stop the others.

    Args:
        base: what a tuned model is compared with on text.

    Returns:
        the error of each cell that failed.
    """
    counts = split_sizes(missing, data)
    failed: dict[CellRequest, Exception] = {}
    total = sum(counts[cell.dataset] for cell in missing)
    with progress("evaluate", total, "examples") as bar:
        for number, (cell, stored) in enumerate(missing.items(), start=1):
            bar.set_postfix_str(f"cell {number}/{len(missing)} {cell.name}")
            before, started = bar.n, time.perf_counter()
            try:
                examples = read_examples(data / cell.dataset / "test.jsonl", cell.max_examples)
                pool = read_all(data / cell.dataset / "shots.jsonl") if cell.shots else []
                results = evaluate_cell(engine, cell, examples, pool, bar.update, base)
                frame = to_frame(cell, results)
            except Exception as error:  # whatever it is, the other cells are still wanted
                log.exception("cell %s failed", cell.name)
                failed[cell] = error
                bar.update(before + counts[cell.dataset] - bar.n)
                continue
            write_frame(frame, stored, results.notes)
            log.info(
                "%s: score %.4f, %d examples (%d truncated, %d empty answers), %.1f examples/s",
                cell.name,
                frame["score"].mean(),
                len(frame),
                frame["truncated"].sum(),
                (frame["prediction"] == "").sum(),
                len(frame) / (time.perf_counter() - started),
            )
            if results.notes:
                log.info("%s: one prompt at a time, and ties: %s", cell.name, results.notes)
    return failed


def split_sizes(cells: Iterable[CellRequest], data: Path) -> dict[str, int]:
    """Dataset -> examples that its cells are scored on."""
    return {
        name: count_examples(data / name / "test.jsonl", most)
        for name, most in {cell.dataset: cell.max_examples for cell in cells}.items()
    }


def load_engine(job: EvaluationJob, cells: list[CellRequest], target: Target) -> Engine:
    """The model, with vLLM beside it or with recorded decoding steps if a cell asks for that.

    Raises:
        ModuleNotFoundError: a cell asks for what is not installed; said before the model is read.
    """
    backend = next((cell.generation_backend for cell in cells if cell.generation_backend), None)
    require_backend(backend)
    loaded = load_for_scoring(job.model, job.checkpoint, target)
    if backend == "vllm":
        return VllmEngine(loaded, job.model)
    if backend == "cuda_graphs":
        return Engine(loaded, make_steps=record_steps(loaded.device))
    return Engine(loaded)
