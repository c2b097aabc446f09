"""Costs by stage from Snakemake's benchmark files."""

import pytest

import collect_costs
from ptft.costs import SCHEMA, read_costs

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmean_load\tcpu_time\n"


def test_hours_by_stage(tmp_path):
    for name, line in {
        "pretrain_checkpoints.tsv": "1800\t0:30:00\t1024\t0\t0\t3600",
        "finetune_model/step4/full.nli.s0.tsv": "360\t0:06:00\t512\t0\t0\t300",
        "finetune_model/step9/full.nli.s0.tsv": "720\t0:12:00\t2048\t0\t0\tNA",
        "evaluate_model/step4/base.tsv": "0.4\t0:00:00\t-\t-\t0\t-",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + line + "\n")
    rows = {row["stage"]: row for row in read_costs(tmp_path).iter_rows(named=True)}
    assert rows["finetune_model"] == {
        "stage": "finetune_model", "jobs": 2, "hours": pytest.approx(0.3),
        "cpu_hours": pytest.approx(300 / 3600), "longest_minutes": 12.0, "peak_gib": 2.0,
    }  # fmt: skip
    assert rows["pretrain_checkpoints"]["cpu_hours"] == 1.0
    # Too short for Snakemake to measure: unknown, not zero.
    assert rows["evaluate_model"]["cpu_hours"] is None
    assert rows["evaluate_model"]["peak_gib"] is None


def test_program_without_benchmarks(tmp_path):
    collect_costs.main(
        ["--benchmarks", str(tmp_path / "none"), "--output", str(tmp_path / "t/costs.csv")]
    )
    assert (tmp_path / "t/costs.csv").read_text() == ",".join(SCHEMA) + "\n"
