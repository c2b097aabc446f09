"""Generic text: how well models predict it, and what fine-tuning takes of that."""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import (
    DETECTABLE,
    INTERVAL,
    Changes,
    Estimates,
    difference,
    with_comparison,
    with_interval,
)
from ptft.analysis.scores import ARM, BASE, Scores
from ptft.analysis.settings import Settings

AGREEMENT = ("nats_per_token", "cross_entropy_to_base", "same_top_token")
COMPARED = (*INTERVAL, DETECTABLE)
SCHEMA = {
    "family": pl.String(),
    "dataset": pl.String(),
    "checkpoint": pl.String(),
    "step": pl.Int64(),
    "tokens": pl.Int64(),
    "index": pl.Int64(),
    "method": pl.String(),
    "train_task": pl.String(),
    "setting": pl.String(),
    "derived": pl.String(),
    "strength": pl.Float64(),
    "n_seeds": pl.Int64(),
    "n": pl.Int64(),
    "bits_per_byte": pl.Float64(),
    **{name: pl.Float64() for name in INTERVAL},
    **{name: pl.Float64() for name in ("base", "change")},
    **{f"change_{name}": pl.Float64() for name in COMPARED},
    "since_first": pl.Float64(),
    **{f"since_first_{name}": pl.Float64() for name in COMPARED},
    **dict.fromkeys(AGREEMENT, pl.Float64()),
}


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
        return pl.DataFrame(schema=SCHEMA)
    rows = texts.cells.sort("dataset", *ARM, "index", nulls_last=False).with_columns(
        pl.lit(None, pl.Float64).alias(name)
        for name in set(AGREEMENT).difference(texts.cells.columns)
    )
    estimates = Estimates(rows["value"].to_numpy(), texts.draws[rows["row"].to_numpy()])
    table = with_interval(rows, estimates, settings.level)
    for part in (_changes(texts, settings), _since_first(texts, settings)):
        table = table.join(part, on="row", how="left", maintain_order="left")
    return table.rename({"value": "bits_per_byte"}).select(
        pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()
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
