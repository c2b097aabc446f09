"""Finished cells on disk: kept under what determines them, published by a rename.

A store holds one Parquet file a cell, named by its key (``cell_key``).
A rerun finds what is there and computes the rest.
"""

import os
import shutil
from pathlib import Path

import polars as pl

from ptft.evaluation.metrics import example_scores
from ptft.evaluation.requests import CellRequest
from ptft.evaluation.results import CellResults
from ptft.evaluation.text import ratio_scores


def to_frame(cell: CellRequest, results: CellResults) -> pl.DataFrame:
    """Per-example table of a cell, metrics included (columns: see the project's DESIGN)."""
    dtypes: dict[str, pl.DataType] = {}
    if cell.kind == "text":
        predictions = golds = pl.Series([None] * len(results.example_id), dtype=pl.String)
        scores = ratio_scores(results.extra)
        # Null throughout where there is no base model, and a number all the same.
        dtypes = dict.fromkeys(["base_nats", "same_top", *scores], pl.Float64())
    else:
        predictions = [str(value) for value in results.predicted]
        golds = [str(value) for value in results.gold]
        scores = example_scores(cell.kind, predictions, golds)
    columns = {
        "example_id": results.example_id,
        "prediction": predictions,
        "gold": golds,
        "score": scores.pop("score"),
        "logprobs": pl.Series(results.logprobs, dtype=pl.List(pl.Float64)),
        "prompt_tokens": results.prompt_tokens,
        "truncated": results.truncated,
        **results.extra,
        **scores,
    }
    return pl.DataFrame(columns, schema_overrides=dtypes)


def publish(stored: Path, output: Path) -> None:
    """Put a stored cell where people find it: a hard link where possible, by a rename."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(f".{os.getpid()}.partial")
    try:
        os.link(stored, partial)
    except OSError:
        shutil.copyfile(stored, partial)
    partial.replace(output)
    # A rename onto another link of the same file does nothing and leaves the source.
    partial.unlink(missing_ok=True)
