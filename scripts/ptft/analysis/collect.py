"""From per-example files to the ``cells`` table: one score a row, each with its interval."""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import TypedDict

from ptft.analysis.intervals import score_interval
from ptft.analysis.per_example import compare, read_aligned
from ptft.analysis.statistics import bootstrap_means
from ptft.files.slice_files import closed
from ptft.paths import cell_path

log = logging.getLogger(__name__)

# Metrics of text without an upper end; the share of its tokens that agree has one.
LOSSES = ("score", "nats_per_token", "cross_entropy_to_base")
KEY = ("checkpoint", "arm", "dataset", "format", "shots")
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
    """One row a cell (main metric): its key, ``AUDIT_SCHEMA``, and its R bootstrap means, paired
    within a dataset."""
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
        pl.DataFrame(kept, schema=key | AUDIT_SCHEMA | {"replicates": resamples}).sort(*KEY),
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
        position = {cells[file]: i for i, file in enumerate(group.files)}
        for name, scores in group.metrics.items():
            values = scores.mean(axis=0)
            stderr = scores.std(axis=0) / np.sqrt(group.n)
            number = np.full(len(values), group.n)
            low, high = score_interval(values, stderr**2, number, bounded=name not in losses)
            for i, file in enumerate(group.files):
                if np.isnan(values[i]):  # nothing to compare a base model with
                    continue
                rows.append(
                    {
                        **_describe(study, cells[file]),
                        "metric": main if name == "score" else name,
                        "value": float(values[i]),
                        "stderr": float(stderr[i]),
                        "ci_low": float(low[i]),
                        "ci_high": float(high[i]),
                        "n": group.n,
                        "chance": audit[file]["chance"] if name == "score" else None,
                        "main": name == "score",
                        "truncated": audit[file]["truncated"],
                    }
                )
        scores = group.metrics["score"]
        means = bootstrap_means(scores, resamples, dataset_seed).T
        for i, file in enumerate(group.files):
            checkpoint, _, *score = cells[file]
            base = position.get((checkpoint, "base", *score))
            kept.append(
                {
                    **dict(zip(KEY, cells[file], strict=True)),
                    **{name: audit[file][name] for name in AUDIT_SCHEMA if name in audit[file]},
                    **({} if base is None or text else compare(scores[:, i], scores[:, base])),
                    "replicates": means[i].astype(np.float32),
                }
            )


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
