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

from ptft.statistics import bootstrap_means, percentile_interval

log = logging.getLogger(__name__)

KEY = ("checkpoint", "arm", "dataset", "format", "shots")
# Columns of a per-example file that are no metrics of their own.
PLAIN = ("example_id", "prediction", "gold", "score", "logprobs", "prompt_tokens", "truncated")
CELLS_SCHEMA: dict[str, pl.DataType] = {
    "study": pl.String(),
    "model": pl.String(),
    "checkpoint": pl.String(),
    "step": pl.Int64(),
    "tokens": pl.Int64(),
    "arm": pl.String(),
    "method": pl.String(),
    "train_task": pl.String(),
    "seed": pl.Int64(),
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
}


@dataclass(frozen=True)
class Collected:
    """What :func:`collect` returns."""

    cells: pl.DataFrame
    """One row a cell and metric, columns of ``CELLS_SCHEMA``."""
    replicates: pl.DataFrame
    """One row a cell (main metric): its key and its R bootstrap means, paired within a dataset."""
    missing: pl.DataFrame
    """Cells of the study that have no per-example file: their key and the path looked for."""


def cell_path(root: Path, cell: Sequence[Any]) -> Path:
    """Where the per-example file of a cell (in the order of ``KEY``) lies under ``root``."""
    checkpoint, arm, dataset, fmt, shots = cell
    return root / checkpoint / arm / f"{dataset}.{fmt}.{shots}shot.parquet"


def domain_of(task: str | None, dataset: str, study: Mapping[str, Any]) -> str:
    """``base``, ``in`` (the task's own test sets), ``out`` (same family) or ``cross``."""
    if task is None:
        return "base"
    if dataset in study["in_domain"].get(task, ()):
        return "in"
    same_family = study["datasets"][dataset]["family"] == study["task_family"].get(task)
    return "out" if same_family else "cross"


def study_cells(study: Mapping[str, Any]) -> list[tuple]:
    """Every cell of the study, in the order of ``KEY``: checkpoints x arms x scores."""
    return [
        (checkpoint, arm, *score)
        for checkpoint, arm, score in product(study["checkpoints"], study["arms"], study["scores"])
    ]


def chance_level(frame: pl.DataFrame) -> float | None:
    """Expected score of a blind guess among the labels or choices; None for generation."""
    sizes = frame["logprobs"].list.len()
    return float((1 / sizes).mean()) if sizes.null_count() == 0 else None


def read_examples(path: Path) -> pl.DataFrame:
    """Read one per-example file, sorted by example, its metric columns as floats.

    Raises:
        ValueError: a score is missing or not finite, an example occurs twice, or there is none.
    """
    frame = pl.read_parquet(path)
    if frame.is_empty():
        raise ValueError(f"{path}: no example in it; evaluate the cell again")
    frame = frame.sort("example_id")
    if frame["example_id"].is_duplicated().any():
        twice = frame.filter(pl.col("example_id").is_duplicated())["example_id"][0]
        raise ValueError(f"{path}: example {twice!r} occurs twice; evaluate the cell again")
    bad = frame.filter(pl.col("score").is_null() | ~pl.col("score").is_finite())
    if len(bad):
        raise ValueError(
            f"{path}: example {bad['example_id'][0]!r} has score {bad['score'][0]}, "
            f"expected a finite number ({len(bad)} such rows); evaluate the cell again"
        )
    return frame


def metric_columns(frame: pl.DataFrame, main: str) -> list[str]:
    """Further per-example metrics of a file: its numeric columns beyond the agreed ones.

    A column named as the main metric repeats ``score`` and is left out.
    """
    return [
        name
        for name, dtype in frame.schema.items()
        if name not in (*PLAIN, main) and (dtype.is_numeric() or dtype == pl.Boolean)
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
        path = cell_path(evaluations, cell)
        if path.exists():
            found.setdefault(cell[2], []).append(cell)
        else:
            missing.append((*cell, str(path)))
            log.warning("no per-example file for cell %s: %s", "/".join(map(str, cell)), path)
    rows: list[dict] = []
    kept: list[dict] = []
    for dataset in sorted(found):
        _collect_dataset(study, evaluations, dataset, sorted(found[dataset]), rows, kept)
    resamples = study["bootstrap"]["resamples"]
    replicate_schema = {
        **{name: CELLS_SCHEMA[name] for name in KEY},
        "replicates": pl.Array(pl.Float32, resamples),
    }
    cells = pl.DataFrame(rows, schema=CELLS_SCHEMA).sort(*KEY, "metric")
    return Collected(
        cells,
        pl.DataFrame(kept, schema=replicate_schema).sort(*KEY),
        pl.DataFrame(
            missing,
            schema={**{name: CELLS_SCHEMA[name] for name in KEY}, "path": pl.String},
            orient="row",
        ).sort(*KEY),
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
    columns: dict[tuple[str, ...], list[tuple[tuple, str, np.ndarray]]] = {}
    chance = {}
    for cell in cells:
        frame = read_examples(cell_path(evaluations, cell))
        chance[cell] = chance_level(frame)
        # Cells whose examples differ (a format may drop some) are resampled apart.
        examples = tuple(frame["example_id"])
        group = columns.setdefault(examples, [])
        main = study["datasets"][dataset]["metric"]
        group.append((cell, main, frame["score"].cast(pl.Float64).to_numpy()))
        for name in metric_columns(frame, main):
            group.append((cell, name, frame[name].cast(pl.Float64).to_numpy()))
    if len(columns) > 1:
        sizes = sorted(len(examples) for examples in columns)
        log.warning("%s: cells hold different examples (%s); these are not paired", dataset, sizes)
    # The seed depends on the dataset alone, so that adding a cell changes no other cell's interval.
    dataset_seed = zlib.crc32(f"{seed}:{dataset}".encode())
    for examples, group in columns.items():
        means = bootstrap_means(
            np.column_stack([scores for _, _, scores in group]), resamples, dataset_seed
        ).T
        stderr, low, high = percentile_interval(means)
        for i, (cell, metric, scores) in enumerate(group):
            is_main = metric == study["datasets"][dataset]["metric"]
            rows.append(
                {
                    **_describe(study, cell),
                    "metric": metric,
                    "value": float(scores.mean()),
                    "stderr": float(stderr[i]),
                    "ci_low": float(low[i]),
                    "ci_high": float(high[i]),
                    "n": len(examples),
                    "chance": chance[cell] if is_main else None,
                    "main": is_main,
                }
            )
            if is_main:
                kept.append(
                    {**dict(zip(KEY, cell, strict=True)), "replicates": means[i].astype(np.float32)}
                )


def _describe(study: Mapping[str, Any], cell: tuple) -> dict[str, Any]:
    """The columns of ``cells`` that follow from the cell's key and the study."""
    checkpoint, arm, dataset, fmt, shots = cell
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
        "seed": about_arm["seed"],
        "family": about_data["family"],
        "dataset": dataset,
        "domain": domain_of(about_arm["train_task"], dataset, study),
        "kind": about_data["kind"],
        "format": fmt,
        "shots": shots,
    }
