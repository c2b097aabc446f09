"""A job that holds several GPUs trains on all of them: here two processes on the CPU."""

import json
import re

from ptft.runtime.job_records import read_records

from .conftest import make_clone

MODEL = "results/cluster/models/step4/full.pocket_nli.s0"


def test_torchrun_starts_a_process_a_gpu(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")  # what a machine with two GPUs offers
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    clone.edit("study.yaml", "gpus: 1", "gpus: 2")
    clone.snakemake(MODEL)
    summary = json.loads((clone.root / MODEL / "training.json").read_text())
    assert summary["devices"] == 2
    assert summary["steps"] == 4 * 64 // 16
    (record,) = read_records(
        clone.root / "results/cluster/state/jobs/finetune_model/step4/full.pocket_nli.s0"
    )
    assert record.gpus == ("0", "1") and record.status == 0


def test_evaluations_are_planned_with_a_gpu_each(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    clone.edit("study.yaml", "gpus: 1", "gpus: 4")
    asked = re.findall(r"jobs/(\w+)/\S+ --gpus (\d) --", clone.snakemake("-n", "-p"))
    assert set(asked) == {("finetune_model", "4"), ("evaluate_model", "1")}
