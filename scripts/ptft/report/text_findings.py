"""Findings on generic text: what pre-training teaches, and what fine-tuning takes away."""

from __future__ import annotations

import polars as pl

from ptft.analysis.settings import Settings
from ptft.language.translation import Translate
from ptft.report.conditions import arm_said
from ptft.report.rst import bracketed, csv_table, interval_head, number, span


def generic_text_findings(
    table: pl.DataFrame, settings: Settings, translate: Translate
) -> list[str]:
    """For each dataset, base models from first to last checkpoint, then tuned models at the last.

    Derived arms are only in the table.
    """
    trained = table.filter(pl.col("derived").is_null())
    rows = []
    for _, one in trained.group_by("dataset", maintain_order=True):
        base = one.filter(pl.col("method").is_null()).sort("index")
        if len(base) > 1:
            rows.append(_of_base(base, translate))
        last = pl.col("index") == pl.col("index").max()
        tuned = one.filter(last, pl.col("method").is_not_null(), pl.col("base").is_not_null())
        rows += [_of_tuned(row, translate) for row in tuned.iter_rows(named=True)]
    if not rows:
        return []
    intro = translate(
        "Bits per byte (lower is better): the base model at {last} against {first}, and each "
        "tuned model against its base model. Same token: share of tokens where both models "
        "find the same one likeliest."
    )
    ends = trained.sort("index")["checkpoint"]
    heads = ("dataset", "model", "before", "after", "change, interval", "same token (%)")
    return [
        intro.format(first=ends[0], last=ends[-1]),
        csv_table([interval_head(head, settings, translate) for head in heads], rows),
    ]


def _of_base(base: pl.DataFrame, translate: Translate) -> list[str]:
    first, last = base.row(0, named=True), base.row(-1, named=True)
    found = [last[f"since_first{part}"] for part in ("", "_ci_low", "_ci_high")]
    ends = [number(row["bits_per_byte"]) for row in (first, last)]
    return [last["dataset"], translate("base"), *ends, span(*found), "–"]


def _of_tuned(row: dict, translate: Translate) -> list[str]:
    found = [row[f"change{part}"] for part in ("", "_ci_low", "_ci_high")]
    same = row["same_top_token"]
    return [
        row["dataset"],
        row["train_task"] + bracketed(arm_said(row, translate), translate),
        number(row["base"]),
        number(row["bits_per_byte"]),
        span(*found),
        "–" if same is None else f"{100 * same:.0f}",
    ]
