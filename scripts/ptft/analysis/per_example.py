"""Per-example files of one dataset, read together and aligned by example.

Thousands of small files are read in one scan, so that collecting a study ten times the paper's
size takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

# Columns of a per-example file that are no metrics of their own.
COMMON_COLUMNS = (
    "example_id",
    "prediction",
    "gold",
    "score",
    "logprobs",
    "prompt_tokens",
    "truncated",
    # Sums over the tokens of a text, of which its metrics are ratios.
    "tokens",
    "bytes",
    "nats",
    "base_nats",
    "same_top",
)


@dataclass(frozen=True)
class AlignedCells:
    """Cells (files) with the same examples."""

    files: list[int]
    """Indices of the files in the list that was read."""
    n: int
    """Number of examples."""
    metrics: dict[str, np.ndarray]
    """Name -> (n, C) scores, examples sorted by id; the main metric is called `score`."""
    predictions: np.ndarray
    """(n, C) hashes of the answers, in the same order"""


@dataclass(frozen=True)
class DatasetExamples:
    """What :func:`read_examples` returns."""

    groups: list[AlignedCells]
    """One group if all cells have the same examples, as they should."""
    audit: pl.DataFrame
    """One row per file, in order: see :func:`_audit`."""


def read_aligned(paths: Sequence[Path], main: str) -> DatasetExamples:
    """Read the per-example files of one dataset.

    Args:
        paths: the files.
        main: name of the main metric; a column of that name repeats `score` and is left out.

    Raises:
        ValueError: naming the file: a score is missing or not finite, an example occurs twice, the
            file is empty, or files differ in their columns.
    """
    schema = pl.read_parquet_schema(paths[0])
    extra = [
        name
        for name, dtype in schema.items()
        if name not in (*COMMON_COLUMNS, main) and (dtype.is_numeric() or dtype == pl.Boolean)
    ]
    try:
        frame = (
            pl.scan_parquet(
                list(paths), include_file_paths="file", glob=False, extra_columns="ignore"
            )
            .select(
                "file",
                pl.col("example_id").hash().alias("example"),
                pl.col("score", *extra).cast(pl.Float64),
                pl.col("prediction").hash(),
                pl.col("gold").hash(),
                pl.col("logprobs").list.len().alias("choices"),
                "truncated",
                "prompt_tokens",
            )
            .collect()
        )
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{paths[0].parent}: per-example files do not fit: {error}") from error
    sizes = _check(frame, paths)
    groups = _align(frame, paths, sizes, ["score", *extra])
    return DatasetExamples(groups, _audit(frame))


def _check(frame: pl.DataFrame, paths: Sequence[Path]) -> np.ndarray:
    """Number of rows of every file; raise on an empty file or an unusable score."""
    counted = frame.group_by("file", maintain_order=True).len()
    if len(counted) != len(paths):
        full = set(counted["file"])
        empty = next(path for path in paths if str(path) not in full)
        raise ValueError(f"{empty}: no example in it; evaluate the cell again")
    bad = frame.filter(pl.col("score").is_null() | ~pl.col("score").is_finite())
    if len(bad):
        raise ValueError(
            f"{bad['file'][0]}: {len(bad)} examples have no usable score (the first is "
            f"{bad['score'][0]}), expected finite numbers; evaluate the cell again"
        )
    return counted["len"].cast(pl.Int64).to_numpy()


def _align(
    frame: pl.DataFrame, paths: Sequence[Path], sizes: np.ndarray, metrics: list[str]
) -> list[AlignedCells]:
    """Group files by their examples, and sort these in one order."""
    examples = frame["example"].to_numpy()
    columns = {name: frame[name].to_numpy() for name in metrics}
    predictions = frame["prediction"].to_numpy()
    starts = np.concatenate([[0], np.cumsum(sizes)])
    # Set of examples (its sorted hashes) -> files, and for each the rows in the common order.
    members: dict[bytes, list[tuple[int, np.ndarray]]] = {}
    last_seen, last_key, last_rows = None, b"", np.empty(0, int)
    for i, path in enumerate(paths):
        hashes = examples[starts[i] : starts[i + 1]]
        # Files of one dataset are nearly always in the same order: sort only when they are not.
        if last_seen is None or not np.array_equal(hashes, last_seen):
            last_seen, last_rows = hashes, _order_by_id(path)
            ordered = np.sort(hashes)
            if (ordered[1:] == ordered[:-1]).any():
                raise ValueError(f"{path}: an example occurs twice; evaluate the cell again")
            last_key = ordered.tobytes()
        members.setdefault(last_key, []).append((i, starts[i] + last_rows))
    return [
        AlignedCells(
            files=[i for i, _ in group],
            n=len(group[0][1]),
            metrics={name: _columns(values, group) for name, values in columns.items()},
            predictions=_columns(predictions, group),
        )
        for group in members.values()
    ]


def _columns(values: np.ndarray, group: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Values (n, C) of a group of files, one column per file."""
    return np.stack([values[rows] for _, rows in group], axis=1)


def _order_by_id(path: Path) -> np.ndarray:
    """Indices that sort a file by example id, the same whatever wrote the file."""
    return pl.read_parquet(path, columns=["example_id"])["example_id"].arg_sort().to_numpy()


def _audit(frame: pl.DataFrame) -> pl.DataFrame:
    """Summary of a file's answers, one row per file.

    gold_labels and predictions (number of distinct ones), gold_share and prediction_share (of the
    most frequent one), chance (mean of 1 / number of choices; null for generation), truncated
    (share) and prompt_tokens (mean).
    """
    keys = {"gold": "gold_labels", "prediction": "predictions"}
    audit = frame.group_by("file", maintain_order=True).agg(
        pl.len().alias("n"),
        pl.col("truncated").mean(),
        pl.col("prompt_tokens").mean(),
    )
    # By counts, since the mean of many thirds hangs on the order in which they are added up.
    chance = (
        frame.group_by("file", "choices")
        .len()
        .sort("choices")
        .group_by("file", maintain_order=True)
        .agg(
            pl.when(pl.col("choices").is_not_null().all())
            .then((pl.col("len") / pl.col("choices")).sum() / pl.col("len").sum())
            .alias("chance")
        )
    )
    audit = audit.join(chance, on="file", how="left", maintain_order="left")
    for column, name in keys.items():
        counts = (
            frame.group_by("file", column)
            .len()
            .group_by("file")
            .agg(pl.len().cast(pl.Int64).alias(name), pl.col("len").max().alias(f"{column}_share"))
        )
        audit = audit.join(counts, on="file", how="left", maintain_order="left").with_columns(
            pl.col(f"{column}_share") / pl.col("n")
        )
    return audit


def compare(tuned: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Shares of examples that score higher, and lower, after fine-tuning."""
    return {"gained": float((tuned > base).mean()), "lost": float((tuned < base).mean())}
