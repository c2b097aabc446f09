"""Checks and choices on cells: no duplicates, place in pre-training, number of shots."""

from __future__ import annotations

import polars as pl

from ptft.analysis.settings import TUNED_SHOTS

KEY = ["checkpoint", "arm", "dataset", "format", "shots"]


def with_shots(cells: pl.DataFrame, shots: int | None, by: list[str]) -> pl.DataFrame:
    """Cells with ``shots``; None takes the number that models are tuned with (``TUNED_SHOTS``).

    A group with no such cell, or fewer than half as many as at another number (the released tables
    have a few among many at 4 shots), is taken at its most frequent number, the larger if tied.
    """
    if shots is not None:
        return cells.filter(pl.col("shots") == shots)
    half = 2 * pl.col("len") >= pl.col("len").max().over(by)
    usual = (
        cells.group_by(*by, "shots")
        .len()
        .sort((pl.col("shots") == TUNED_SHOTS) & half, "len", "shots")
        .group_by(by, maintain_order=True)
        .agg(pl.col("shots").last())
    )
    return cells.join(usual, on=[*by, "shots"], how="semi", maintain_order="left")


def refuse_duplicates(main: pl.DataFrame) -> None:
    """Raise ValueError if two main rows have the same key; name both values and their studies."""
    twice = main.filter(pl.struct(KEY).is_duplicated())
    if len(twice):
        first = twice.row(0, named=True)
        both = twice.filter(pl.all_horizontal(pl.col(k) == first[k] for k in KEY))
        sources = [
            f"{row['value']} ({row['study']}, {row['model']})" for row in both.iter_rows(named=True)
        ]
        raise ValueError(
            f"cell {[first[k] for k in KEY]} occurs {len(both)} times: {', '.join(sources)}; "
            "keep one source"
        )


def checkpoint_index(cells: pl.DataFrame) -> pl.Expr:
    """Position of each checkpoint in pre-training; without a step (`main`) it is the last."""
    order = (
        cells.select("checkpoint", "step", "tokens")
        .unique()
        .sort("step", "tokens", "checkpoint", nulls_last=True)["checkpoint"]
        .to_list()
    )
    if len(set(order)) != len(order):
        twice = next(name for name in order if order.count(name) > 1)
        raise ValueError(f"checkpoint {twice!r} has two different steps or token counts")
    return (
        pl.col("checkpoint")
        .replace_strict({name: i for i, name in enumerate(order)}, return_dtype=pl.Int64)
        .alias("index")
    )
