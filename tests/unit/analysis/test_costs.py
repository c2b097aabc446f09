"""Costs by stage and arm, from the jobs' records and Snakemake's benchmark files."""

import json
import os

import pytest

from ptft.analysis.costs import read_costs, with_totals
from ptft.report.page import costs_table

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmean_load\tcpu_time\n"


def write_benchmark(folder, name, line):
    path = folder / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + line + "\n")


def write_attempt(folder, name, started, ended, gpus=("0",), beat=None, **changes):
    """A job's record; one without an end was killed when it last beat."""
    file = folder / name / f"{started}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {"started": started, "host": "h", "node": "h", "pid": 1, "gpus": gpus}
    record |= {"slurm_job": None, "ended": ended, "status": None if ended is None else 0}
    file.write_text(json.dumps(record | changes))
    if beat is not None:
        os.utime(file, (beat, beat))


@pytest.fixture
def costs(tmp_path):
    """Two trainings of an arm, one killed after 900 s and resumed for 360 s; one evaluation."""
    benchmarks, records = tmp_path / "benchmarks", tmp_path / "jobs"
    write_benchmark(benchmarks, "pretrain_checkpoint/step4", "1800\t0:30:00\t1024\t0\t0\t3600")
    write_benchmark(benchmarks, "finetune_model/step4/full.nli", "360\t0:06:00\t512\t0\t0\t300")
    write_benchmark(benchmarks, "finetune_model/step9/full.nli", "720\t0:12:00\t2048\t0\t0\tNA")
    write_benchmark(benchmarks, "evaluate_model/step4/base", "0.4\t0:00:00\t-\t-\t0\t-")
    write_attempt(records, "finetune_model/step4/full.nli", 100, None, beat=1000)
    write_attempt(records, "finetune_model/step4/full.nli", 2000, 2360, gpu_gib=8.5)
    write_attempt(records, "finetune_model/step9/full.nli", 100, 820, gpus=("0", "1"), gpu_gib=7.0)
    return read_costs(benchmarks, records)


def test_every_attempt_counts(costs):
    rows = {row["stage"]: row for row in costs.iter_rows(named=True)}
    assert rows["finetune_model"] == {
        "stage": "finetune_model", "arm": "full.nli", "jobs": 2, "attempts": 3,
        "hours": pytest.approx((900 + 360 + 720) / 3600),
        "gpu_hours": pytest.approx((900 + 360 + 2 * 720) / 3600),
        "cpu_hours": pytest.approx(300 / 3600), "longest_minutes": 15.0,
        "peak_gib": 2.0, "peak_gpu_gib": 8.5,
    }  # fmt: skip
    assert rows["pretrain_checkpoint"]["cpu_hours"] == 1.0
    assert rows["pretrain_checkpoint"]["arm"] == ""
    # No record and too short for Snakemake to measure: unknown, not zero.
    assert rows["evaluate_model"]["cpu_hours"] is None
    assert rows["evaluate_model"]["peak_gib"] is None


def test_totals_stand_before_their_arms_and_beside_the_paper(costs):
    table = with_totals(costs)
    assert table.select("stage", "arm", "paper_gpu_hours").rows() == [
        ("evaluate_model", "all", 249.0),
        ("evaluate_model", "base", None),
        ("finetune_model", "all", 28.0),
        ("finetune_model", "full.nli", None),
        ("pretrain_checkpoint", "all", None),
    ]
    assert table["gpu_hours"][2] == pytest.approx(0.75)
    page = costs_table(costs)
    row = ["finetune_model", "all", "2", "3", "0.550", "0.750", "28", "2.00", "8.50"]
    assert row in page["rows"] and page["paper"]


def test_a_study_without_gpus_has_no_columns_for_them(costs):
    page = costs_table(costs.with_columns(gpu_hours=0.0))
    heads = [head for head, _ in page["heads"]]
    assert heads == ["stage", "arm", "jobs", "attempts", "hours", "peak (GiB)"]
    assert not page["paper"]
