"""From per-example files to the ``cells`` table: one score a row, each with its interval."""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import TypedDict

from ptft.analysis.intervals import score_interval
from ptft.analysis.per_example import AlignedCells, compare, read_aligned
from ptft.analysis.statistics import bootstrap_means
from ptft.files.slice_files import closed
from ptft.paths import cell_path

log = logging.getLogger(__name__)

# Metrics of text without an upper end; the share of its tokens that agree has one.
LOSSES = ("score", "nats_per_token", "cross_entropy_to_base")
KEY = ("checkpoint", "arm", "dataset", "format", "shots")
# Metrics of a tuned model against the base model of its checkpoint, whose bootstrap means are kept
# beside those of the score: the share of equal answers, on other families; of equal likeliest
# tokens, on text; of answers turned right, where answers are chosen.
SAME_ANSWER, SAME_TOP_TOKEN, GAINED = "same_answer", "same_top_token", "gained"
AGAINST_BASE = (SAME_ANSWER, SAME_TOP_TOKEN, GAINED)
CELLS_SCHEMA: dict[str, pl.DataType] = {
    "study": pl.String(),
    "model": pl.String(),
    "checkpoint": pl.String(),
    "step": pl.Int64(),
    "tokens": pl.Int64(),
    "arm": pl.String(),
    "method": pl.String(),
    "train_task": pl.String(),
    "swept": pl.String(),
    "setting": pl.String(),
    "seed": pl.Int64(),
    "derived": pl.String(),
    "strength": pl.Float64(),
    "family": pl.String(),
    "dataset": pl.String(),
    "domain": pl.String(),
    "kind": pl.String(),
    "format": pl.String(),
    "shots": pl.Int64(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "stderr": pl.Float64(),
    "ci_low": pl.Float64(),
    "ci_high": pl.Float64(),
    "n": pl.Int64(),
    "chance": pl.Float64(),
    "main": pl.Boolean(),
    "truncated": pl.Float64(),
}
# What is kept of a cell's answers beside its replicates (see ``ptft.analysis.per_example``); gained
# and lost against the base model of the same checkpoint, null where there is none.
AUDIT_SCHEMA: dict[str, pl.DataType] = {
    "gold_labels": pl.Int64(),
    "gold_share": pl.Float64(),
    "predictions": pl.Int64(),
    "prediction_share": pl.Float64(),
    "prompt_tokens": pl.Float64(),
    "gained": pl.Float64(),
    "lost": pl.Float64(),
}


@closed
class CollectionSlice(TypedDict):
    """What turns per-example files into cells (``Grid.collection_slice``)."""

    study: str
    model: str
    checkpoints: dict[str, dict[str, Any]]
    arms: dict[str, dict[str, Any]]
    datasets: dict[str, dict[str, str]]
    in_domain: dict[str, list[str]]
    task_family: dict[str, str]
    scores: list[tuple[str, str, int]]
    bootstrap: dict[str, int]


@dataclass(frozen=True)
class Collected:
    """What :func:`collect` returns."""

    cells: pl.DataFrame
    """One row a cell and metric, columns of ``CELLS_SCHEMA``."""
    replicates: pl.DataFrame
    """One row a cell and metric (the main one and those of ``AGAINST_BASE``): its key, what
    ``AUDIT_SCHEMA`` names (with the main metric), and its R bootstrap means, paired within a
    dataset."""
    missing: pl.DataFrame
    """Cells of the study that have no per-example file: their key and the path looked for."""


def domain_of(task: str | None, dataset: str, study: Mapping[str, Any]) -> str:
    """``base``, ``in`` (the task's own test sets), ``out`` (same family) or ``cross``."""
    if task is None:
        return "base"
    if dataset in study["in_domain"].get(task, ()):
        return "in"
    same_family = study["datasets"][dataset]["family"] == study["task_family"].get(task)
    return "out" if same_family else "cross"


def study_cells(study: Mapping[str, Any]) -> list[tuple]:
    """Every cell of the study, in the order of ``KEY``: checkpoints x arms x scores.

    An arm that names ``checkpoints`` is at these alone.
    """
    every = product(study["checkpoints"], study["arms"].items(), study["scores"])
    return [
        (checkpoint, arm, *score)
        for checkpoint, (arm, about), score in every
        if checkpoint in about.get("checkpoints", study["checkpoints"])
    ]


def collect(study: Mapping[str, Any], evaluations: Path) -> Collected:
    """Score every cell of ``study`` (the JSON slice) from its per-example file.

    Cells of one dataset share their resamples, so replicate r of two of them is paired.

    Raises:
        ValueError: a cell is listed twice, or a file is broken.
    """
    counts = Counter(study_cells(study))
    twice = [cell for cell, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"study {study['study']}: cell {dict(zip(KEY, twice[0], strict=True))} is listed "
            f"{counts[twice[0]]} times ({len(twice)} such cells); list each once"
        )
    found: dict[str, list[tuple]] = {}
    missing = []
    for cell in counts:
        path = Path(cell_path(evaluations, *cell))
        if path.exists():
            found.setdefault(cell[2], []).append(cell)
        else:
            missing.append((*cell, str(path)))
            log.warning("no per-example file for cell %s: %s", "/".join(map(str, cell)), path)
    rows: list[dict] = []
    kept: list[dict] = []
    for dataset in sorted(found):
        _collect_dataset(study, evaluations, dataset, sorted(found[dataset]), rows, kept)
    key = {name: CELLS_SCHEMA[name] for name in KEY}
    resamples = pl.Array(pl.Float32, study["bootstrap"]["resamples"])
    return Collected(
        pl.DataFrame(rows, schema=CELLS_SCHEMA).sort(*KEY, "metric"),
        pl.DataFrame(
            kept, schema=key | {"metric": pl.String()} | AUDIT_SCHEMA | {"replicates": resamples}
        ).sort(*KEY, "metric"),
        pl.DataFrame(missing, schema=key | {"path": pl.String()}, orient="row").sort(*KEY),
    )


def _collect_dataset(
    study: Mapping[str, Any],
    evaluations: Path,
    dataset: str,
    cells: Sequence[tuple],
    rows: list[dict],
    kept: list[dict],
) -> None:
    """Append the rows and replicates of one dataset's cells, resampling its examples once."""
    resamples, seed = study["bootstrap"]["resamples"], study["bootstrap"]["seed"]
    main, text = study["datasets"][dataset]["metric"], study["datasets"][dataset]["kind"] == "text"
    losses = LOSSES if text else ()
    examples = read_aligned([Path(cell_path(evaluations, *cell)) for cell in cells], main)
    audit = examples.audit.drop("file", "n").to_dicts()
    if len(examples.groups) > 1:
        sizes = sorted(group.n for group in examples.groups)
        log.warning("%s: cells hold different examples (%s); these are not paired", dataset, sizes)
    # The seed depends on the dataset alone, so that adding a cell changes no other cell's interval.
    dataset_seed = zlib.crc32(f"{seed}:{dataset}".encode())
    for group in examples.groups:
        own = [cells[file] for file in group.files]
        bases = _bases(own)
        against = {} if text else _against_base(study, group, own, bases, audit)
        measured = group.metrics | against
        for name, scores in measured.items():
            metric = main if name == "score" else name
            for i, row in _summaries(scores, bounded=name not in losses):
                about = audit[group.files[i]]
                rows.append(
                    {
                        **_describe(study, own[i]),
                        "metric": metric,
                        **row,
                        "n": group.n,
                        "chance": about["chance"] if name == "score" else None,
                        "main": name == "score",
                        "truncated": about["truncated"],
                    }
                )
        scores = measured["score"]
        for name, i, means in _replicates(measured, resamples, dataset_seed):
            known = {}
            if name == "score":
                about, base = audit[group.files[i]], bases[i]
                known = {name: about[name] for name in AUDIT_SCHEMA if name in about}
                if base is not None and not text:
                    known |= compare(scores[:, i], scores[:, base])
            metric = main if name == "score" else name
            key = dict(zip(KEY, own[i], strict=True))
            kept.append(key | {"metric": metric, **known, "replicates": means})


def _bases(cells: Sequence[tuple]) -> list[int | None]:
    """Of each cell the position of its base model's: the same checkpoint and score."""
    position = {cell: i for i, cell in enumerate(cells)}
    found = [position.get((cell[0], "base", *cell[2:])) for cell in cells]
    return [None if base == i else base for i, base in enumerate(found)]


def _against_base(
    study: Mapping[str, Any],
    group: AlignedCells,
    cells: Sequence[tuple],
    bases: Sequence[int | None],
    audit: Sequence[Mapping[str, Any]],
) -> dict[str, np.ndarray]:
    """Metrics of ``AGAINST_BASE`` of answers to prompts, (n, C) each; NaN where there is none."""
    scores, answers = group.metrics["score"], group.predictions
    found = {name: np.full(scores.shape, np.nan) for name in (SAME_ANSWER, GAINED)}
    for i, (cell, base) in enumerate(zip(cells, bases, strict=True)):
        if base is None:
            continue
        if domain_of(study["arms"][cell[1]]["train_task"], cell[2], study) == "cross":
            found[SAME_ANSWER][:, i] = answers[:, i] == answers[:, base]
        if audit[group.files[i]]["chance"] is not None:
            found[GAINED][:, i] = scores[:, i] > scores[:, base]
    return found


def _summaries(scores: np.ndarray, bounded: bool) -> Iterator[tuple[int, dict[str, float]]]:
    """Mean, standard error and interval of each column (n, C) that has scores."""
    values, count = scores.mean(axis=0), np.full(scores.shape[1], len(scores))
    stderr = scores.std(axis=0) / np.sqrt(len(scores))
    low, high = score_interval(values, stderr**2, count, bounded=bounded)
    for i in np.flatnonzero(~np.isnan(values)):  # a base model has nothing to compare with
        told = {"value": values, "stderr": stderr, "ci_low": low, "ci_high": high}
        yield int(i), {name: float(column[i]) for name, column in told.items()}


def _replicates(
    measured: Mapping[str, np.ndarray], resamples: int, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Name, column and bootstrap means (R,) of the score and the metrics of ``AGAINST_BASE``."""
    for name in ("score", *AGAINST_BASE):
        scores = measured.get(name, np.empty((0, 0)))
        known = np.flatnonzero(~np.isnan(scores).any(axis=0))
        if len(known):
            means = bootstrap_means(scores[:, known], resamples, seed).T.astype(np.float32)
            yield from zip([name] * len(known), known.tolist(), means, strict=True)


def _describe(study: Mapping[str, Any], cell: tuple) -> dict[str, Any]:
    """The columns of ``cells`` that follow from the cell's key and the study."""
    checkpoint, arm, dataset, format_name, shots = cell
    about_arm = study["arms"][arm]
    about_data = study["datasets"][dataset]
    return {
        "study": study["study"],
        "model": study["model"],
        "checkpoint": checkpoint,
        "step": study["checkpoints"][checkpoint]["step"],
        "tokens": study["checkpoints"][checkpoint]["tokens"],
        "arm": arm,
        "method": about_arm["method"],
        "train_task": about_arm["train_task"],
        "swept": about_arm.get("swept"),
        "setting": about_arm.get("setting"),
        "seed": about_arm["seed"],
        "derived": about_arm.get("derived"),
        "strength": about_arm.get("strength"),
        "family": about_data["family"],
        "dataset": dataset,
        "domain": domain_of(about_arm["train_task"], dataset, study),
        "kind": about_data["kind"],
        "format": format_name,
        "shots": shots,
    }
