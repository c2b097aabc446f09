"""What a study cost: hours by stage, from the benchmark files that Snakemake writes."""

from __future__ import annotations

from pathlib import Path

import polars as pl

SCHEMA = {
    "stage": pl.String,
    "jobs": pl.Int64,
    "hours": pl.Float64,
    "cpu_hours": pl.Float64,
    "longest_minutes": pl.Float64,
    "peak_gib": pl.Float64,
}


def read_costs(folder: Path) -> pl.DataFrame:
    """One row a rule: jobs, hours by the clock summed over jobs, CPU hours, longest job, memory.

    Snakemake's columns are `s` (seconds), `cpu_time` (seconds) and `max_rss` (MiB); `-` or `NA`
    where it could not measure (short jobs), which counts as unknown, not as zero. Hours are those
    of the jobs that ran last: a study that was resumed cost more.

    Args:
        folder: benchmark files as `RULE.tsv` or `RULE/....tsv`.
    """
    files = sorted(folder.rglob("*.tsv"))
    if not files:
        return pl.DataFrame(schema=SCHEMA)
    rows = []
    for path in files:
        line = pl.read_csv(path, separator="\t", infer_schema=False).row(0, named=True)
        stage = path.relative_to(folder).parts[0].removesuffix(".tsv")
        rows.append([stage, *(_number(line.get(name)) for name in ("s", "cpu_time", "max_rss"))])
    measured = pl.DataFrame(rows, schema=["stage", "s", "cpu", "rss"], orient="row").cast(
        {"s": pl.Float64, "cpu": pl.Float64, "rss": pl.Float64}
    )
    return (
        measured.group_by("stage")
        .agg(
            pl.len().cast(pl.Int64).alias("jobs"),
            (pl.col("s").sum() / 3600).alias("hours"),
            # A stage with no measured CPU time has an unknown sum, not zero.
            pl.when(pl.col("cpu").is_not_null().any())
            .then(pl.col("cpu").sum() / 3600)
            .alias("cpu_hours"),
            (pl.col("s").max() / 60).alias("longest_minutes"),
            (pl.col("rss").max() / 1024).alias("peak_gib"),
        )
        .sort("stage")
        .cast(SCHEMA)
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
