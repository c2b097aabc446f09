"""The front page's table of a study's costs."""

from __future__ import annotations

import polars as pl

from ptft.analysis.costs import with_totals
from ptft.language.translation import Translate
from ptft.report.rst import csv_table


def costs_table(costs: pl.DataFrame, translate: Translate) -> list[str]:
    """Hours and memory by stage and arm, with the paper's hours for each stage."""
    columns = {
        "hours": ("hours", "{:.3f}"),
        "gpu_hours": ("GPU-hours", "{:.3f}"),
        "paper_gpu_hours": ("the paper's", "{:.0f}"),
        "peak_gib": ("peak (GiB)", "{:.2f}"),
        "peak_gpu_gib": ("GPU (GiB)", "{:.2f}"),
    }
    if not costs["gpu_hours"].sum():
        # Nor are the hours of a grid on GPUs worth a look beside those of a study on a CPU.
        del columns["gpu_hours"], columns["peak_gpu_gib"], columns["paper_gpu_hours"]
    rows = [
        [row["stage"], translate("all") if row["arm"] == "all" else row["arm"]]
        + [str(row["jobs"]), str(row["attempts"])]
        + [_shown(row[name], form) for name, (_, form) in columns.items()]
        for row in with_totals(costs).iter_rows(named=True)
    ]
    heads = ["stage", "arm", "jobs", "attempts", *(head for head, _ in columns.values())]
    explained = translate("Hours include all attempts.")
    if "paper_gpu_hours" in columns:
        explained = translate(
            "Hours include all attempts. Beside them are the A100-hours of the paper's "
            "supervised grid: 8 checkpoints of OLMo-1B, 4 tasks, one example at a time."
        )
    return [csv_table([translate(head) for head in heads], rows), explained if rows else ""]


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
