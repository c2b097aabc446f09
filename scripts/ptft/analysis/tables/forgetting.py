"""Effects of fine-tuning on one task on the others.

Tables `forgetting`, `transfer` and `generic_text`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import (
    COUNTS,
    DETECTABLE,
    INTERVAL,
    Change,
    Changes,
    Estimates,
    aggregate,
    difference,
    flag_incomplete,
    with_comparison,
    with_interval,
)
from ptft.analysis.scores import ARM, BASE, CHECKPOINT, GUESS, METHOD, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import score_interval

# Multiple choice is scored by likelihood, as classification is: one direction for both.
DIRECTION = {
    "classification": "classification",
    "multiple_choice": "classification",
    "generation": "generation",
}
ALL_TASKS = "(mean over tasks)"
SMALLEST = 1e-6
"""least headroom that is divided by"""


def ratio_change(tuned: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(tuned - base) / base; NaN where base is 0. The term of the paper's MRC (section 6.3)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0, (tuned - base) / base, np.nan)


def bounded_change(tuned: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(tuned - base) / max(tuned, base), in [-1, 1]; 0 where both are 0.

    Equal to the paper's ratio for losses, so "30 % of ROUGE-L lost" keeps its
    meaning; a gain from near zero counts at most 1, where the ratio grows without bound (0.001
    to 0.101 is +100) and one such dataset dominates a mean.
    """
    larger = np.maximum(tuned, base)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isnan(larger) | (larger > 0), (tuned - base) / larger, 0.0)


def headroom_change(tuned: np.ndarray, base: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """(tuned - base) / (base - floor), at least -1: all that was above the floor is lost."""
    return np.maximum((tuned - base) / np.maximum(base - floor, SMALLEST), -1.0)


def forgetting(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Change on the datasets a model was not tuned for, by checkpoint, task and direction.

    Four measures, each a mean over datasets d outside the task's own family. The first takes those
    where there is something to forget:
    ``headroom``, mean_d (tuned - base) / (base - guess), at least -1, over the ``headroom_pairs``
    pairs whose base score is above guessing with confidence (adjusted for the number of pairs) and
    by ``headroom_margin``; null if there is none. ``guess`` is what a constant answer earns, 0
    where texts are generated.
    ``mrc``, the paper's mean ratio of change, mean_d (tuned - base) / base (section 6.3; null
    where a base score is 0; pooled over checkpoints, as in the paper: table `transfer`);
    ``bounded``, mean_d (tuned - base) / max(tuned, base), see :func:`bounded_change`;
    ``difference``, mean_d (tuned - base) in points.

    One row per (checkpoint, arm, direction); direction is the kind of the task and of the
    datasets, ``classification>generation``. ``train_task`` "(mean over tasks)" averages every
    (task, dataset) pair of a direction. Intervals (prefixes headroom_, mrc_, bounded_ and
    difference_) are paired over examples where there are per-example results.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = transfer_pairs(view, settings)
    single = _measure(view, pairs, settings)
    overall = _measure(view, pairs.with_columns(train_task=pl.lit(ALL_TASKS)), settings)
    return pl.concat([single, overall]).sort("direction", *ARM, "index")


def transfer(scores: Scores, settings: Settings) -> pl.DataFrame:
    """The paper's mean ratio of change (its section 6.3): over all tasks, datasets and checkpoints.

    One row per (direction, method): ``mrc`` (null where a base score is 0), ``bounded`` and
    ``difference`` as in table `forgetting`, but pooled over checkpoints, with their intervals. A
    ratio grows without bound where the base score is close to 0, so one such pair can decide the
    sign of the mean: table `forgetting` has it by checkpoint.
    """
    view = scores.main_view(settings.format, settings.shots)
    line = ["direction", *METHOD]
    return _pooled(view, transfer_pairs(view, settings), line, settings).sort(line)


def transfer_pairs(view: Scores, settings: Settings) -> pl.DataFrame:
    """Rows of ``Scores.pairs`` on other families, with ``direction``, ``floor`` and ``headroom``.

    ``floor`` is what guessing earns; ``headroom``: the base score is above it with confidence, and
    by the margin.
    """
    task_kind = (
        view.cells.filter(pl.col("domain") == "in")
        .group_by("train_task")
        .agg(pl.col("kind").first().alias("task_kind"))
    )
    chosen = settings.transfer_datasets
    direction = pl.format(
        "{}>{}",
        pl.col("task_kind").replace_strict(DIRECTION, return_dtype=pl.String),
        pl.col("kind").replace_strict(DIRECTION, return_dtype=pl.String),
    )
    pairs = (
        view.pairs()
        .filter(pl.col("domain") == "cross", pl.col("dataset").is_in(chosen) | (not chosen))
        .join(task_kind, on="train_task", how="inner")
        .with_columns(direction.alias("direction"))
    )
    base = view.cells.filter(BASE).select(
        base_row="row", floor=GUESS.fill_null(0.0), base_stderr="stderr", base_n="n"
    )
    pairs = pairs.join(base, on="base_row", maintain_order="left")
    low, _ = score_interval(
        pairs["base"].to_numpy(),
        pairs["base_stderr"].fill_null(np.nan).to_numpy() ** 2,
        pairs["base_n"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        1 - (1 - settings.level) / max(1, pairs["base_row"].n_unique()),
    )
    above = pl.Series(low).fill_nan(None).fill_null(pairs["base"]) > pairs["floor"]
    return pairs.with_columns(
        headroom=above & (pl.col("base") - pl.col("floor") >= settings.headroom_margin)
    )


def _measure(view: Scores, pairs: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The measures of ``pairs``, averaged by checkpoint, arm and direction."""
    line = ["direction", *ARM]
    by = [*line, *CHECKPOINT]
    room = pairs.filter("headroom")
    floor = room["floor"].to_numpy()
    changes = Changes.of(view, room, headroom_change, floor)
    found = aggregate(room, "headroom", changes, by, settings.level, prefix="headroom_")
    found = found.drop("n_seeds", "datasets").rename({"n_cells": "headroom_pairs"})
    table = _pooled(view, pairs, by, settings).join(found, on=by, how="left", nulls_equal=True)
    return flag_incomplete(table.with_columns(pl.col("headroom_pairs").fill_null(0)), line)


def _pooled(view: Scores, pairs: pl.DataFrame, by: list[str], settings: Settings) -> pl.DataFrame:
    """mrc, bounded and difference of ``pairs``, averaged over groups ``by``."""

    def measured(name: str, change: Change) -> pl.DataFrame:
        changes = Changes.of(view, pairs, change)
        return aggregate(pairs, name, changes, by, settings.level, prefix=f"{name}_")

    table = measured("mrc", ratio_change)
    for other in (measured("bounded", bounded_change), measured("difference", np.subtract)):
        table = table.join(other.drop(COUNTS), on=by, nulls_equal=True)
    return table


AGREEMENT = ("nats_per_token", "cross_entropy_to_base", "same_top_token")
COMPARED = (*INTERVAL, DETECTABLE)
TEXT_SCHEMA = schema(
    *("family", "dataset", *CHECKPOINT, *ARM, "n_seeds", "n", "bits_per_byte", *INTERVAL),
    *("base", "change", *(f"change_{name}" for name in COMPARED)),
    *("since_first", *(f"since_first_{name}" for name in COMPARED), *AGREEMENT),
)


def generic_text(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Loss on generic text of every model, in bits per byte: lower is better.

    One row per (dataset, model, checkpoint), base models with a null method: bits_per_byte, with
    its interval over n documents. Tuned models have base, the loss of the same checkpoint, and
    change, theirs minus that, paired over documents and seeds. Base models have since_first, the
    change since the first checkpoint, paired over documents. bits_per_byte is the ratio of two sums
    over the corpus, bits and bytes (docs/analysis.md, Generic text).

    Beside them nats_per_token, the loss per token; cross_entropy_to_base, in nats per token, the
    mean of -sum_v p_base(v) log p(v): the least it can be is the base model's own entropy; and
    same_top_token, the share of tokens where both models find the same one likeliest.
    """
    texts = scores.texts
    if texts is None:
        return pl.DataFrame(schema=TEXT_SCHEMA)
    rows = texts.cells.sort("dataset", *ARM, "index", nulls_last=False).with_columns(
        pl.lit(None, pl.Float64).alias(name)
        for name in set(AGREEMENT).difference(texts.cells.columns)
    )
    estimates = Estimates(rows["value"].to_numpy(), texts.draws[rows["row"].to_numpy()])
    table = with_interval(rows, estimates, settings.level)
    for part in (_changes(texts, settings), _since_first(texts, settings)):
        table = table.join(part, on="row", how="left", maintain_order="left")
    return table.rename({"value": "bits_per_byte"}).select(
        pl.col(name).cast(dtype) for name, dtype in TEXT_SCHEMA.items()
    )


def _changes(texts: Scores, settings: Settings) -> pl.DataFrame:
    """Of what is no base model: its loss minus that of the base model."""
    base = texts.cells.filter(BASE).select("checkpoint", "dataset", base="value", base_row="row")
    pairs = texts.cells.filter(~BASE).join(base, on=["checkpoint", "dataset"])
    table = pairs.select("row", "base", change=pl.col("value") - pl.col("base"))
    changes = Changes.of(texts, pairs)
    return with_comparison(table, changes.estimates, settings.level, "change_")


def _since_first(texts: Scores, settings: Settings) -> pl.DataFrame:
    """Of base models: their loss minus that of the first checkpoint."""
    base = texts.cells.filter(BASE).sort("dataset", "index")
    first = pl.col("row").first().over("dataset")
    later = base.select("row", first=first).filter(pl.col("row") != pl.col("first"))
    found = difference(texts, later["row"].to_numpy(), later["first"].to_numpy(), same_run=False)
    table = later.select("row").with_columns(since_first=pl.Series(found.values, dtype=pl.Float64))
    return with_comparison(table, found, settings.level, "since_first_")
