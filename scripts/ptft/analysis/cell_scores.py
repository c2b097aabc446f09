"""Cells from per-example files: scores with intervals, and bootstrap means.

Thousands of small files are read in one scan per dataset and aligned by example, so that collecting
a study ten times the paper's size takes seconds. Bootstrap means are packed as bytes, and read when
they are asked for.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.statistics import resampling_weights, score_interval
from ptft.paths import cell_path

COLUMN = "replicates"
REPLICATE = np.dtype("<f4")


def packed(means: np.ndarray) -> bytes:
    """Means (R,) as float32: Parquet reads bytes ten times as fast as lists."""
    return means.astype(REPLICATE).tobytes()


def unpacked(column: pl.Series) -> np.ndarray:
    """Means (N, R) of a column of bytes."""
    return np.frombuffer(b"".join(column), REPLICATE).reshape(len(column), -1)


def replicates_at(table: pl.LazyFrame, places: np.ndarray) -> np.ndarray:
    """Bootstrap means (k, R) of the rows at ``places`` (k,), quickest where these lie close."""
    first, last = int(places.min()), int(places.max())
    column = table.slice(first, last - first + 1).select(COLUMN).collect()[COLUMN]
    return unpacked(column.gather(places - first))


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


@dataclass(frozen=True)
class DatasetExamples:
    """Result of :func:`read_aligned`."""

    groups: list[AlignedCells]
    """One group if all cells have the same examples, as they should."""
    audit: pl.DataFrame
    """One row per file, in order: see :func:`_audit`."""


def read_aligned(
    paths: Sequence[Path], main: str, labels: Sequence[str] | None = None
) -> DatasetExamples:
    """Read the per-example files of one dataset.

    Where the answers' log-probabilities are stored, metrics of ``probability_metrics`` are added.

    Args:
        paths: the files.
        main: name of the main metric; a column of that name repeats `score` and is left out.
        labels: of a classification, in the order of its log-probabilities; else a gold answer is
            the number of a choice.

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
    chosen = schema.get("logprobs", pl.Null()).base_type() == pl.List
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
                *([pl.col("logprobs"), pl.col("gold").alias("gold_answer")] if chosen else []),
            )
            .collect()
        )
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{paths[0].parent}: per-example files do not fit: {error}") from error
    sizes = _check(frame, paths)
    names = ["score", *extra]
    if chosen and not frame["logprobs"].null_count():
        added = probability_metrics(frame["logprobs"], _gold_places(frame["gold_answer"], labels))
        frame = frame.with_columns(pl.Series(name, values) for name, values in added.items())
        names += list(added)
    if "label_mass" not in frame.columns:
        frame = frame.with_columns(label_mass=pl.lit(None, pl.Float64))
    groups = _align(frame, paths, sizes, names)
    return DatasetExamples(groups, _audit(frame))


def probability_metrics(logprobs: pl.Series, gold: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics from the log-probabilities of N answers to choose from.

    ``gold_probability``: that of the right answer among the choices, exp(l_gold) / sum exp(l);
    ``brier``: sum over choices of (probability - right)^2, 0 to 2 (Brier, 1950); ``gold_bits``:
    -log2 of the right answer's own probability (of a label's first sub-token, of a choice's whole
    text); ``confidence``: the largest probability among the choices.

    Args:
        logprobs: (N,) lists, one number per choice.
        gold: (N,) place of the right answer in each list; -1 gives NaN.
    """
    lengths = logprobs.list.len().to_numpy().astype(np.int64)
    flat = logprobs.explode().to_numpy()
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    largest = np.maximum.reduceat(flat, starts)
    with np.errstate(invalid="ignore"):  # all choices may be impossible
        shares = np.exp(flat - np.repeat(largest, lengths))
        shares /= np.repeat(np.add.reduceat(shares, starts), lengths)
    known = (gold >= 0) & (gold < lengths)
    at = starts + np.where(known, gold, 0)
    right = np.where(known, shares[at], np.nan)
    squares = np.add.reduceat(shares**2, starts)
    return {
        "gold_probability": right,
        "brier": squares - 2 * right + 1,
        "gold_bits": np.where(known, -flat[at] / np.log(2), np.nan),
        CONFIDENCE: np.maximum.reduceat(shares, starts) + 0 * right,
    }


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error in ten bins (Guo et al., 2017): the mean over examples of
    |share that is right - mean confidence| of the example's bin. Both (n,); NaN if one is."""
    if np.isnan(confidence).any():
        return np.nan
    bins = np.minimum((10 * confidence).astype(int), 9)
    gaps = np.bincount(bins, right - confidence, minlength=10)
    return float(np.abs(gaps).sum() / len(confidence))


def _gold_places(gold: pl.Series, labels: Sequence[str] | None) -> np.ndarray:
    """Place of each right answer among the choices; -1 where it is none of them."""
    if labels:
        places = gold.replace_strict(
            {name: at for at, name in enumerate(labels)}, default=None, return_dtype=pl.Int64
        )
    else:
        places = gold.cast(pl.Int64, strict=False)
    return places.fill_null(-1).to_numpy()


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
            metrics={name: _side_by_side(values, group) for name, values in columns.items()},
        )
        for group in members.values()
    ]


def _side_by_side(values: np.ndarray, group: list[tuple[int, np.ndarray]]) -> np.ndarray:
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
        pl.col("truncated", "prompt_tokens", "label_mass").mean(),
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


log = logging.getLogger(__name__)

# Metrics of text without an upper end; the share of its tokens that agree has one.
LOSSES = ("score", "nats_per_token", "cross_entropy_to_base")
UNBOUNDED = ("gold_bits", "brier")
"""metrics of answers that may be above 1"""
CONFIDENCE = "confidence"
TYPES = {
    **dict.fromkeys(["study", "model", "checkpoint", "arm", "method", "train_task"], pl.String),
    **dict.fromkeys(["swept", "setting", "derived", "family", "dataset", "domain"], pl.String),
    **dict.fromkeys(["kind", "metric", "format", "datasets", "verdict", "twins_of"], pl.String),
    **dict.fromkeys(["step", "tokens", "index", "seed", "shots", "n", "n_seeds"], pl.Int64),
    **dict.fromkeys(["n_checkpoints", "n_formats", "n_datasets", "n_tasks"], pl.Int64),
    **dict.fromkeys(["gold_labels", "predictions"], pl.Int64),
    "main": pl.Boolean,
}
"""of columns that several tables have; others hold numbers"""


def schema(*names: str, **types: Any) -> dict[str, Any]:
    """Types of a table's columns, as given or by ``TYPES``."""
    return {name: types.get(name) or TYPES.get(name, pl.Float64) for name in names}


KEY = ("checkpoint", "arm", "dataset", "format", "shots")
KEY_SCHEMA = schema(*KEY)
# What is kept of a cell's answers beside its replicates; gained and lost against the base model of
# the same checkpoint, null where there is none.
AUDIT_SCHEMA = schema(
    *("gold_labels", "gold_share", "predictions", "prediction_share", "prompt_tokens"),
    *("label_mass", "gained", "lost"),
)
REPLICATES_SCHEMA = schema(*KEY, "metric", *AUDIT_SCHEMA, COLUMN, **{COLUMN: pl.Binary})
SCORE_SCHEMA = schema(
    *("metric", "value", "stderr", "ci_low", "ci_high", "n", "chance", "main", "truncated")
)
BLOCK = 64
"""cells that are resampled at once; always as many, since sums of other shapes may be added up in
another order, and a cell's numbers must not hang on how many were collected with it"""


def replicate_table(cells: pl.DataFrame, means: np.ndarray, **known: object) -> pl.DataFrame:
    """Replicates of cells whose answers are not at hand, in the form of ``Parts.write_replicates``.

    Args:
        cells: with the columns of ``KEY`` and metric.
        means: (C, R) draws of each.
        known: values of ``AUDIT_SCHEMA``, the same for all cells; others are null.
    """
    audit = (pl.lit(known.get(name), dtype).alias(name) for name, dtype in AUDIT_SCHEMA.items())
    return cells.select(
        *KEY, "metric", *audit, pl.Series(COLUMN, [packed(row) for row in means], pl.Binary)
    )


def score_cells(
    study: Mapping[str, Any], evaluations: Path, cells: Sequence[tuple]
) -> pl.DataFrame:
    """Read the files of cells and score them.

    Cells of one dataset share their resamples, so replicate r of two of them is paired, whether
    or not they are scored in the same call.

    Args:
        study: the collection's slice; of it the datasets and the bootstrap count.
        evaluations: folder of the per-example files.
        cells: keys, in the order of ``KEY``.

    Returns:
        one row a cell: its key, its main metric, what ``AUDIT_SCHEMA`` names, R bootstrap means
        (``replicates``, as bytes), and ``scores``: a struct of ``SCORE_SCHEMA`` for each metric.

    Raises:
        ValueError: a file is broken.
    """
    by_dataset: dict[str, list[tuple]] = {}
    for cell in sorted(cells):
        by_dataset.setdefault(cell[2], []).append(cell)
    rows = [
        row
        for dataset in sorted(by_dataset)
        for row in _score_dataset(study, evaluations, dataset, by_dataset[dataset])
    ]
    scores = pl.List(pl.Struct(SCORE_SCHEMA))
    return pl.DataFrame(rows, schema={**REPLICATES_SCHEMA, "scores": scores})


def domain_of(task: str | None, dataset: str, study: Mapping[str, Any]) -> str:
    """``base``, ``in`` (the task's own test sets), ``out`` (same family) or ``cross``."""
    if task is None:
        return "base"
    if dataset in study["in_domain"].get(task, ()):
        return "in"
    same_family = study["datasets"][dataset]["family"] == study["task_family"].get(task)
    return "out" if same_family else "cross"


def _score_dataset(
    study: Mapping[str, Any], evaluations: Path, dataset: str, cells: list[tuple]
) -> Iterator[dict]:
    """Rows of the cells of one dataset, whose examples are resampled once."""
    about, bootstrap = study["datasets"][dataset], study["bootstrap"]
    files = [Path(cell_path(evaluations, *cell)) for cell in cells]
    examples = read_aligned(files, about["metric"], about.get("labels"))
    audit = examples.audit.drop("file", "n").to_dicts()
    if len(examples.groups) > 1:
        sizes = sorted(group.n for group in examples.groups)
        log.warning("%s: cells hold different examples (%s); these are not paired", dataset, sizes)
    # The seed depends on the dataset alone, so that adding a cell changes no other cell's interval.
    seed = zlib.crc32(f"{bootstrap['seed']}:{dataset}".encode())
    for group in examples.groups:
        own = [cells[file] for file in group.files]
        answers = [audit[file] for file in group.files]
        bases, text = _bases(own), about["kind"] == "text"
        measured = dict(group.metrics)
        confidence, scores = measured.pop(CONFIDENCE, None), measured["score"]
        summaries = {
            about["metric"] if name == "score" else name: _summary(values, name, text)
            for name, values in measured.items()
        }
        if confidence is not None:
            summaries["calibration_error"] = _calibration(confidence, scores)
        blocks = _bootstrap_means(_blocks(scores), bootstrap["resamples"], seed)
        for i, base in enumerate(bases):
            row = dict(zip(KEY, own[i], strict=True)) | {"metric": about["metric"]}
            row[COLUMN] = packed(blocks[i // BLOCK][i % BLOCK])
            row |= {name: answers[i][name] for name in AUDIT_SCHEMA if name in answers[i]}
            if base is not None and not text:
                rise = scores[:, i] - scores[:, base]
                row |= {"gained": float((rise > 0).mean()), "lost": float((rise < 0).mean())}
            told = _scores_of(i, group.n, about["metric"], summaries, answers[i])
            if about.get("aside"):  # a member of a group that analyses take
                told = [score | {"main": False} for score in told]
            yield row | {"scores": told}


def _bases(cells: Sequence[tuple]) -> list[int | None]:
    """Of each cell the position of its base model's: the same checkpoint and score."""
    position = {cell: i for i, cell in enumerate(cells)}
    found = [position.get((cell[0], "base", *cell[2:])) for cell in cells]
    return [None if base == i else base for i, base in enumerate(found)]


def _bootstrap_means(blocks: list[np.ndarray], resamples: int, seed: int) -> list[np.ndarray]:
    """Bootstrap means (``BLOCK``, R) of each block; the resamples are drawn once for all."""
    means = [np.empty((BLOCK, resamples), dtype=np.float32) for _ in blocks]
    done = 0
    for weights in resampling_weights(len(blocks[0]), resamples, seed):
        for mean, block in zip(means, blocks, strict=True):
            mean[:, done : done + len(weights)] = (weights @ block).T
        done += len(weights)
    return means


def _summary(scores: np.ndarray, name: str, text: bool) -> dict[str, np.ndarray]:
    """Mean, standard error and interval of each column (n, C)."""
    n, cells = scores.shape
    blocks = _blocks(scores)
    values, spread = (
        np.concatenate([getattr(block, what)(axis=0) for block in blocks])[:cells]
        for what in ("mean", "std")
    )
    stderr = spread / np.sqrt(n)
    bounded = not (text and name in LOSSES) and name not in UNBOUNDED
    low, high = score_interval(values, stderr**2, np.full(cells, n), bounded=bounded)
    return {"value": values, "stderr": stderr, "ci_low": low, "ci_high": high}


def _calibration(confidence: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """As :func:`_summary`, of what is no mean over examples and has no error."""
    errors = [*map(calibration_error, confidence.T, right.T)]
    unknown = np.full(len(errors), np.nan)
    return {"value": np.array(errors), **dict.fromkeys(["stderr", "ci_low", "ci_high"], unknown)}


def _scores_of(
    cell: int,
    n: int,
    main: str,
    summaries: Mapping[str, Mapping[str, np.ndarray]],
    audit: Mapping[str, Any],
) -> list[dict]:
    """Rows of ``SCORE_SCHEMA`` of one cell, a metric after another."""
    return [
        {
            "metric": metric,
            **{
                name: None if np.isnan(column[cell]) else float(column[cell])
                for name, column in summary.items()
            },
            "n": n,
            "chance": audit["chance"] if metric == main else None,
            "main": metric == main,
            "truncated": audit["truncated"],
        }
        for metric, summary in summaries.items()
        if not np.isnan(summary["value"][cell])  # a base model has nothing to compare with
    ]


def _blocks(scores: np.ndarray) -> list[np.ndarray]:
    """Scores (n, C) as arrays (n, ``BLOCK``), the last one filled up with zeros."""
    padded = np.pad(scores, ((0, 0), (0, -scores.shape[1] % BLOCK)))
    return [
        np.ascontiguousarray(padded[:, start : start + BLOCK])
        for start in range(0, padded.shape[1], BLOCK)
    ]
