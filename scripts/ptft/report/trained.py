"""How many examples models were really tuned on, from the models' records."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from ptft.language.translation import Translate
from ptft.models.folder import TRAINING_SUMMARY
from ptft.report.rst import plain

SCHEMA = {
    "task": pl.String,
    "train_examples": pl.Int64,
    "validation_examples": pl.Int64,
    "dropped": pl.Int64,
}


def read_trained(models: Path, kept: Path | None = None) -> pl.DataFrame:
    """One row per method and task (``full.mnli``) and set of counts, as training recorded them.

    Args:
        models: folder of tuned models as `CHECKPOINT/ARM/training.json`.
        kept: folder of deleted models' records, in the same layout; deleted models without a
            record are not counted.
    """
    found = {
        file.relative_to(folder): file
        for folder in (kept, models)  # what is there tells more than what was there
        if folder is not None
        for file in folder.glob(f"*/*/{TRAINING_SUMMARY}")
    }
    rows = []
    for _, file in sorted(found.items()):
        noted = json.loads(file.read_text())
        rows.append(
            {
                "task": ".".join(file.parent.name.split(".")[:2]),
                "train_examples": noted["train_examples"],
                "validation_examples": noted["validation_examples"],
                "dropped": len(noted["dropped_examples"]),
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA).unique().sort(SCHEMA.keys())


def trained_said(trained: pl.DataFrame, translate: Translate) -> list[str]:
    """One sentence per method and task: examples trained on, held out, and left out."""
    return [
        translate(
            "{task} is trained on {n} examples; {held} more are held out for validation, "
            "{dropped} dropped because no token to learn fits the context."
        ).format(
            task=plain(row["task"]),
            n=f"{row['train_examples']:,}",
            held=f"{row['validation_examples']:,}",
            dropped=f"{row['dropped']:,}",
        )
        for row in trained.iter_rows(named=True)
    ]
