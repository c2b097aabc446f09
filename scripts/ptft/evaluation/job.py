"""One evaluation job: a model is loaded once and scored on every cell that the store lacks.

Arms that are derived from it are scored by the same job, with their weights in its place.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import torch

from ptft.evaluation.cells import (
    CellRequest,
    DerivedPlan,
    EvaluationPlan,
    cell_key,
    cells_of_plan,
    require_backend,
)
from ptft.evaluation.metrics import load_metric
from ptft.evaluation.records import TOLD, write_cells_record
from ptft.evaluation.results import publish, to_frame
from ptft.evaluation.scoring import evaluate_cell, sample_prompts
from ptft.files import count_examples, read_all, read_examples, read_slice, write_frame
from ptft.inference.agreement import checked_engine
from ptft.inference.engine import Engine
from ptft.inference.vllm_engine import VllmEngine
from ptft.models.derive import Derivation, Parent
from ptft.models.folder import keep_records, model_files
from ptft.models.loading import Target, load_for_scoring, target_here
from ptft.models.merging import AVERAGE, get_derivation
from ptft.paths import stored_cell
from ptft.runtime.bars import progress
from ptft.runtime.contents import Note, looks
from ptft.runtime.job_records import note
from ptft.runtime.locks import exclusive

log = logging.getLogger("evaluate_model")

# Test rows of a cell among which those are that a model is checked with.
SAMPLED_ROWS = 16


class CellsFailed(RuntimeError):
    """Some cells could not be scored; the others are kept in the store."""


@dataclass(frozen=True)
class EvaluationJob:
    """Where one evaluation finds and leaves things.

    Attributes:
        model: model folder.
        data: folder of prepared datasets.
        plan: what to score, a slice of the study.
        store: finished cells by key.
        record: of the cells, written when all are in place; the job's declared output.
        output: folder of the cells asked for.
        checkpoint: what the model is an adapter of, if it is one.
        records: where the model's training records are kept, if the model is not.
        seen: note of the model's files, to write.
        told: what the note holds beside them, a parameter of the job.
    """

    model: Path
    data: Path
    plan: Path
    store: Path
    record: Path
    output: Path
    checkpoint: Path | None = None
    records: Path | None = None
    seen: Path | None = None
    told: str = ""

    @cached_property
    def parent(self) -> Parent:
        """The model, its files and hash looked up once."""
        return Parent(self.model, self.checkpoint or self.model)


def evaluate(job: EvaluationJob) -> None:
    """Score what the store lacks and publish all that is asked for.

    Raises:
        CellsFailed: after all others were scored; no record is written.
    """
    # A job that a dead main process left behind may be at the same work: wait for its cells.
    with exclusive(job.store / job.parent.hash):
        plan = read_slice(job.plan, EvaluationPlan)
        target = target_here(plan.get("dtype"))
        arms = list(scored_arms(job, plan, target))
        asked = sum(len(arm.keys) for arm in arms)
        missing = [cell for arm in arms for cell in arm.missing]
        note(cells=asked, reused=asked - len(missing))
        log.info("%d cells, %d of them in the store", asked, asked - len(missing))
        if missing:
            sizes = split_sizes(missing, job.data)
            note(examples=sum(sizes[cell.dataset] for cell in missing))
            for metric in {metric for cell in missing for metric in cell.metrics}:
                load_metric(**json.loads(metric))  # what can't be used is said before hours
            _score(job, arms, load_engine(job, missing, target), target, asked)
        for arm in reversed(arms):  # the model's own record, which the job declares, comes last
            arm.publish(job.plan)
    if job.seen is not None:
        files = model_files(job.model)
        Note(looks(files), job.parent.own_hash, job.told).write(job.seen)
    if job.records is not None:
        keep_records(job.model, job.records)


@dataclass(frozen=True)
class ScoredArm:
    """The cells that are asked of an arm, each under its key.

    Attributes:
        output: folder of its cells.
        record: of its cells.
        keys: of its cells in the store.
        store: finished cells by key.
        base: checkpoint that its predictions on text are compared with; None for itself.
        derived: how its weights are derived; None for the model as it is.
    """

    output: Path
    record: Path
    keys: dict[CellRequest, str]
    store: Path
    base: Path | None = None
    derived: DerivedPlan | None = None

    @property
    def files(self) -> dict[CellRequest, Path]:
        """Where each cell is in the store, or goes."""
        return {cell: self._stored(cell) for cell in self.keys}

    @property
    def missing(self) -> dict[CellRequest, Path]:
        """Cells that the store lacks, and where they go."""
        return {cell: file for cell, file in self.files.items() if not file.exists()}

    def publish(self, plan: Path) -> None:
        """Put all cells where people find them, then the record of them, which names the plan."""
        for cell in self.keys:
            publish(self._stored(cell), self.output / cell.file)
        keys = {cell.file: key for cell, key in self.keys.items()}
        notes = {cell.file: _told(self._stored(cell)) for cell in self.keys}
        told = {name: found for name, found in notes.items() if found}
        write_cells_record(keys, self.record, plan, told)

    def _stored(self, cell: CellRequest) -> Path:
        return Path(stored_cell(self.store, self.keys[cell]))


def _told(cell: Path) -> dict[str, str]:
    """Notes in a cell's file that its model's record repeats."""
    found = pl.read_parquet_metadata(cell)
    return {name: found[name] for name in TOLD if name in found}


def scored_arms(job: EvaluationJob, plan: EvaluationPlan, target: Target) -> Iterator[ScoredArm]:
    """The model as it is, then each arm that is derived from it, in a folder beside its own."""
    cells, version = cells_of_plan(plan), plan["scoring_version"]
    parent, text = job.parent, any(cell.kind == "text" for cell in cells)

    def keys(own: str, compared: bool) -> dict[CellRequest, str]:
        base = parent.origin.hash if text and compared else None
        return {cell: cell_key(cell, own, job.data, version, target, base) for cell in cells}

    base = None if parent.is_checkpoint else parent.checkpoint
    own = keys(parent.hash, base is not None)
    yield ScoredArm(job.output, job.record, own, job.store, base)
    for name, spec in plan.get("derived", {}).items():
        if spec["derivation"] == AVERAGE and not derivation_of(spec).others(
            parent, spec["strength"]
        ):
            continue
        derived = keys(derived_hash(spec, parent), True)
        record = job.record.with_name(f"{name}{job.record.suffix}")
        output = job.output.parent / name
        yield ScoredArm(output, record, derived, job.store, parent.checkpoint, spec)


def derivation_of(spec: DerivedPlan) -> Derivation:
    """The derivation that a plan asks for."""
    merge = {key: spec[key] for key in ("members", "density") if key in spec}
    return get_derivation(spec["derivation"], **merge)


def derived_hash(spec: DerivedPlan, parent: Parent) -> str:
    """Hash of all that decides derived weights, for a cell's key."""
    others = derivation_of(spec).others(parent, spec["strength"])
    parts = {"model": parent.hash, **spec, **{name: own.hash for name, own in others.items()}}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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
        errors = score_missing(engine, arm, job.data, base)
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
    engine: Engine, arm: ScoredArm, data: Path, base: torch.nn.Module | None = None
) -> dict[CellRequest, Exception]:
    """Score cells one after another into the store; a failing cell does not stop the others.

    Groups of the harness's tasks come last, as they are made of their members' cells.

    Args:
        base: what a tuned model is compared with on text.

    Returns:
        the error of each cell that failed.
    """
    missing = dict(sorted(arm.missing.items(), key=lambda item: bool(item[0].members)))
    counts = split_sizes(missing, data)
    failed: dict[CellRequest, Exception] = {}
    total = sum(counts[cell.dataset] for cell in missing)
    with progress("evaluate", total, "examples") as bar:
        for number, (cell, stored) in enumerate(missing.items(), start=1):
            bar.set_postfix_str(f"cell {number}/{len(missing)} {cell.name}")
            before, started = bar.n, time.perf_counter()
            try:
                if cell.members:
                    frame, notes = _group(cell, arm), {}
                    bar.update(len(frame))
                else:
                    examples = read_examples(data / cell.dataset / "test.jsonl")
                    pool = read_all(data / cell.dataset / "shots.jsonl") if cell.drawn else []
                    results = evaluate_cell(engine, cell, examples, pool, bar.update, base)
                    frame, notes = to_frame(cell, results), results.notes
            except Exception as error:  # whatever it is, the other cells are still wanted
                log.exception("cell %s failed", cell.name)
                failed[cell] = error
                bar.update(before + counts[cell.dataset] - bar.n)
                continue
            write_frame(frame, stored, notes)
            log.info(
                "%s: score %.4f, %d examples (%d truncated, %d empty answers), %.1f examples/s",
                cell.name,
                frame["score"].mean(),
                len(frame),
                frame["truncated"].sum(),
                (frame["prediction"] == "").sum(),
                len(frame) / (time.perf_counter() - started),
            )
    return failed


def _group(cell: CellRequest, arm: ScoredArm) -> pl.DataFrame:
    """A group's cell, from those of its members in the store."""
    from ptft.evaluation.harness import group_frame  # lm_eval is optional

    stored = {own.name: file for own, file in arm.files.items()}
    return group_frame(cell, [pl.read_parquet(stored[name]) for name in cell.members])


def split_sizes(cells: Iterable[CellRequest], data: Path) -> dict[str, int]:
    """Dataset -> examples that its cells are scored on."""
    return {
        name: count_examples(data / name / "test.jsonl")
        for name in {cell.dataset for cell in cells}
    }


def load_engine(job: EvaluationJob, cells: list[CellRequest], target: Target) -> Engine:
    """The model, with vLLM beside it if a cell asks for that; first compared with transformers.

    Raises:
        ModuleNotFoundError: a cell asks for what is not installed; said before the model is read.
        Disagreement: the model can't be scored (see ``ptft.inference.agreement``).
    """
    backend = next((cell.generation_backend for cell in cells if cell.generation_backend), None)
    require_backend(backend)
    loaded = load_for_scoring(job.model, job.checkpoint, target)
    base = job.parent.is_checkpoint
    samples = sample_prompts(loaded, cells, lambda cell: _first_rows(job.data, cell), few=not base)
    engine = checked_engine(loaded, samples, whole=base)
    if backend != "vllm":
        return engine
    if engine.plain:
        raise ValueError(
            f"evaluate.generation_backend: found {backend}, but this model is scored by plain "
            f"transformers ({engine.loaded.plainly}); leave the key out"
        )
    return VllmEngine(loaded, job.model)


def _first_rows(data: Path, cell: CellRequest) -> tuple[list, list]:
    """The first test rows of a cell, and its shots."""
    folder = data / cell.dataset
    rows = list(read_examples(folder / "test.jsonl", SAMPLED_ROWS))
    return rows, read_all(folder / "shots.jsonl") if cell.drawn else []


def derived_engine(engine: Engine, spec: DerivedPlan, parent: Parent) -> Engine:
    """The same model with derived weights in place of its own, which are read from files again.

    What an engine keeps of a model's prompts is of its weights, so it is another engine.
    """
    derivation = derivation_of(spec)
    log.info("derive weights: %s", spec)
    weights = derivation.weights(parent, spec["strength"], spec["seed"])
    put_weights(engine.loaded.model, weights)
    return engine.renewed()


def put_weights(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Overwrite all weights of a model, each rounded once to the model's precision.

    Raises:
        ValueError: the names are not those of the model's weights.
    """
    own = dict(model.named_parameters())
    if unlike := sorted(own.keys() ^ weights.keys()):
        raise ValueError(f"derived weights are not those of the model: {unlike[:5]}")
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)
