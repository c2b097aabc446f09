"""Score every cell that is asked of a model and not in the store yet."""

import argparse
import logging
import sys
import time
from pathlib import Path

import torch

from ptft.data.jsonl import count_examples, read_all, read_examples
from ptft.evaluation.published import write_published
from ptft.evaluation.requests import Cell, Plan, cells_of_plan, require_backend
from ptft.evaluation.scoring import evaluate_cell
from ptft.evaluation.store import cell_key, publish, to_frame, write_frame
from ptft.files.slice_files import read_slice
from ptft.inference.engine import Engine
from ptft.inference.model import Target, load_model, target_here
from ptft.inference.vllm_engine import VllmEngine
from ptft.models.folder import hash_model
from ptft.paths import stored_cell
from ptft.runtime.bars import progress
from ptft.runtime.job_records import note
from ptft.runtime.leased_gpus import GpusMissing, require_leased_gpus
from ptft.runtime.locks import exclusive
from ptft.runtime.programs import run_program

log = logging.getLogger("evaluate_model")


def score_missing(engine: Engine, missing: dict[Cell, Path], data: Path) -> dict[Cell, Exception]:
    """Score cells one after another into the store; a failing cell does not stop the others.

    Returns:
        the error of each cell that failed.
    """
    counts = {
        name: count_examples(data / name / "test.jsonl", most)
        for name, most in {cell.dataset: cell.max_examples for cell in missing}.items()
    }
    failed: dict[Cell, Exception] = {}
    total = sum(counts[cell.dataset] for cell in missing)
    note(examples=total)
    with progress("evaluate", total, "examples") as bar:
        for number, (cell, stored) in enumerate(missing.items(), start=1):
            bar.set_postfix_str(f"cell {number}/{len(missing)} {cell.name}")
            before, started = bar.n, time.perf_counter()
            try:
                examples = read_examples(data / cell.dataset / "test.jsonl", cell.max_examples)
                pool = read_all(data / cell.dataset / "shots.jsonl") if cell.shots else []
                results = evaluate_cell(engine, cell, examples, pool, bar.update)
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
                log.info("%s: against one prompt at a time: %s", cell.name, results.notes)
    return failed


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--checkpoint", type=Path, help="what the model is an adapter of, if it is")
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared datasets")
    parser.add_argument("--plan", type=Path, required=True, help="what to score, JSON file")
    parser.add_argument("--store", type=Path, required=True, help="finished cells by key")
    parser.add_argument("--published", type=Path, required=True, help="record of the output")
    parser.add_argument("--output", type=Path, required=True, help="folder of the cells asked for")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    torch.set_num_threads(args.threads)
    try:
        require_leased_gpus()
    except GpusMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    model_hash = hash_model(args.model, args.checkpoint)
    # A job that a dead main process left behind may be at the same work: wait for its cells.
    with exclusive(args.store / model_hash):
        return evaluate(args, model_hash)


def evaluate(args: argparse.Namespace, model_hash: str) -> int:
    """Score what the store lacks and publish all that is asked for; returns the exit status."""
    plan = read_slice(args.plan, Plan)
    cells = cells_of_plan(plan)
    version, target = plan["scoring_version"], target_here()
    keys = {cell: cell_key(cell, model_hash, args.data, version, target) for cell in cells}
    stored = {cell: Path(stored_cell(args.store, key)) for cell, key in keys.items()}
    missing = {cell: file for cell, file in stored.items() if not file.exists()}
    reused = len(cells) - len(missing)
    note(cells=len(cells), reused=reused)
    log.info("%d cells, %d of them in the store", len(cells), reused)
    failed = {}
    if missing:
        engine = load_engine(args, list(missing), target)
        failed = score_missing(engine, missing, args.data)
        if torch.cuda.is_available():
            note(gpu_gib=engine.gpu_memory() / 2**30)
    if failed:
        told = [f"cell {c.name} failed: {type(e).__name__}: {e}" for c, e in failed.items()]
        for sentence in told[1:]:
            log.error(sentence)
        others = f"{len(failed)} of {len(cells)} cells failed; the others are kept in the store"
        print(f"error: {told[0]} ({others})", file=sys.stderr)
        return 1
    for cell, file in stored.items():
        publish(file, args.output / cell.file)
    write_published({cell.file: key for cell, key in keys.items()}, args.published)
    return 0


def load_engine(args: argparse.Namespace, cells: list[Cell], target: Target) -> Engine:
    """The model, with vLLM beside it if a cell asks for that.

    Raises:
        ModuleNotFoundError: a cell asks for what is not installed; said before the model is read.
    """
    backend = next((cell.generation_backend for cell in cells if cell.generation_backend), None)
    require_backend(backend)
    loaded = load_model(args.model, args.checkpoint, target)
    return VllmEngine(loaded, args.model) if backend == "vllm" else Engine(loaded)


if __name__ == "__main__":
    run_program(main)
