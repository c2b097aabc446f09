"""Costs of a study: hours and memory by stage and arm.

Time is of all attempts of a job, killed ones too, from the jobs' records
(``ptft.runtime.job_records``); for a job without records, of its last attempt, from Snakemake's
benchmark file. CPU time and memory of processes are from benchmark files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from ptft.paper import GPU_HOURS
from ptft.runtime.job_records import read_records

NUMBERS = ("hours", "gpu_hours", "cpu_hours", "longest_minutes", "peak_gib", "peak_gpu_gib")
SCHEMA = pl.Schema(
    dict.fromkeys(["stage", "arm"], pl.String)
    | dict.fromkeys(["jobs", "attempts"], pl.Int64)
    | dict.fromkeys(NUMBERS, pl.Float64)
)
"""of :func:`read_costs`"""
MEASURED = ("seconds", "gpu_seconds", "cpu_seconds", "longest", "rss_mib", "gpu_gib")
"""of one job: total time of its attempts, and peak memory"""


def read_costs(benchmarks: Path, records: Path) -> pl.DataFrame:
    """One row per stage (rule) and arm: sums over jobs, largest memory of any.

    `hours` are by the clock, summed over attempts; `gpu_hours` are hours times GPUs held.
    Snakemake's columns are `s` (seconds), `cpu_time` (seconds) and `max_rss` (MiB); `-` or `NA`,
    if it could not measure (short jobs), counts as unknown, not as zero.

    Args:
        benchmarks: files as `RULE.tsv` or `RULE/CHECKPOINT.tsv` or `RULE/CHECKPOINT/ARM.tsv`.
        records: folders of attempts as `RULE/CHECKPOINT/ARM`.
    """
    files = sorted(benchmarks.rglob("*.tsv"))
    jobs = [_job(file.relative_to(benchmarks).with_suffix(""), file, records) for file in files]
    if not jobs:
        return pl.DataFrame(schema=SCHEMA)
    return (
        pl.DataFrame(jobs, schema_overrides=dict.fromkeys(MEASURED, pl.Float64))
        .group_by("stage", "arm")
        .agg(
            pl.len().alias("jobs"),
            pl.col("attempts").sum(),
            _sum("seconds").truediv(3600).alias("hours"),
            pl.col("gpu_seconds").sum().truediv(3600).alias("gpu_hours"),
            _sum("cpu_seconds").truediv(3600).alias("cpu_hours"),
            (pl.col("longest").max() / 60).alias("longest_minutes"),
            (pl.col("rss_mib").max() / 1024).alias("peak_gib"),
            pl.col("gpu_gib").max().alias("peak_gpu_gib"),
        )
        .cast(SCHEMA)
        .sort("stage", "arm")
    )


def _job(name: Path, file: Path, records: Path) -> dict[str, Any]:
    line = pl.read_csv(file, separator="\t", infer_schema=False).row(0, named=True)
    seconds = _number(line.get("s"))
    attempts = read_records(records / name)
    times: list[float | None] = [attempt.seconds for attempt in attempts] or [seconds]
    known = [time for time in times if time is not None]
    used = [attempt.gpu_gib for attempt in attempts if attempt.gpu_gib is not None]
    stage, *rest = name.parts
    return {
        "stage": stage,
        "arm": rest[1] if len(rest) == 2 else "",
        "attempts": len(times),
        "seconds": sum(known) if known else None,
        "gpu_seconds": sum(attempt.seconds * len(attempt.gpus) for attempt in attempts),
        "cpu_seconds": _number(line.get("cpu_time")),
        "longest": max(known, default=None),
        "rss_mib": _number(line.get("max_rss")),
        "gpu_gib": max(used, default=None),
    }


def with_totals(costs: pl.DataFrame) -> pl.DataFrame:
    """The table with each stage's sum in a row before its arms, and ``paper_gpu_hours``.

    The sum's arm is ``all``; a stage without arms has only its sum.
    """
    totals = costs.group_by("stage", maintain_order=True).agg(
        pl.lit("all").alias("arm"),
        *(pl.col(name).sum() for name in ("jobs", "attempts")),
        *(_sum(name) for name in ("hours", "gpu_hours", "cpu_hours")),
        *(pl.col(name).max() for name in ("longest_minutes", "peak_gib", "peak_gpu_gib")),
    )
    paper = pl.col("stage").replace_strict(GPU_HOURS, default=None)
    arms = costs.filter(pl.col("arm") != "").with_columns(pl.lit(None).alias("paper_gpu_hours"))
    tables = [totals.with_columns(paper.alias("paper_gpu_hours")), arms]
    return pl.concat(tables, how="diagonal_relaxed").sort("stage", maintain_order=True)


def _sum(name: str) -> pl.Expr:
    """Sum of known values; null, not zero, if none is known."""
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum())


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
