"""Findings on generic text: what pre-training teaches of it, and what fine-tuning takes away."""

from __future__ import annotations

import polars as pl

from ptft.analysis.settings import Settings
from ptft.language.translation import Translate
from ptft.report.conditions import arm_said
from ptft.report.rst import change, literal, number


def generic_text_findings(
    table: pl.DataFrame, settings: Settings, translate: Translate
) -> list[str]:
    """Of each dataset, the base model's way from first to last, then each tuned model at the last.

    Arms of a sweep and derived ones are left to the table.
    """
    trained = table.filter(pl.all_horizontal(pl.col("setting", "derived").is_null()))
    sentences = []
    for _, rows in trained.group_by("dataset", maintain_order=True):
        base = rows.filter(pl.col("method").is_null()).sort("index")
        if len(base) > 1:
            sentences.append(_of_base(base, settings, translate))
        last = pl.col("index") == pl.col("index").max()
        tuned = rows.filter(last, pl.col("method").is_not_null(), pl.col("base").is_not_null())
        sentences += [_of_tuned(row, settings, translate) for row in tuned.iter_rows(named=True)]
    return sentences


def _of_base(base: pl.DataFrame, settings: Settings, translate: Translate) -> str:
    first, last = base.row(0, named=True), base.row(-1, named=True)
    found = [last[f"since_first{part}"] for part in ("", "_ci_low", "_ci_high")]
    return translate(
        "{dataset}: the base model's loss goes from {first} bits per byte at {start} to {last} at "
        "{end}: {change} (lower is better)."
    ).format(
        dataset=literal(last["dataset"]),
        first=number(first["bits_per_byte"]),
        start=first["checkpoint"],
        last=number(last["bits_per_byte"]),
        end=last["checkpoint"],
        change=change(*found, translate, settings.level),
    )


def _of_tuned(row: dict, settings: Settings, translate: Translate) -> str:
    found = [row[f"change{part}"] for part in ("", "_ci_low", "_ci_high")]
    text = translate(
        "{dataset}: fine-tuning on {task} ({arm}) at {checkpoint} changes it from {base} to "
        "{value} bits per byte: {change}"
    ).format(
        dataset=literal(row["dataset"]),
        task=row["train_task"],
        arm=arm_said(row, translate),
        checkpoint=row["checkpoint"],
        base=number(row["base"]),
        value=number(row["bits_per_byte"]),
        change=change(*found, translate, settings.level),
    )
    if row["same_top_token"] is not None:
        text += translate("; both hold the same token the likeliest at {share} % of them").format(
            share=f"{100 * row['same_top_token']:.0f}"
        )
    return text + translate(".")
