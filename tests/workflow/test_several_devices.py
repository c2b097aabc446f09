"""A job that holds several GPUs trains on all of them: here two processes on the CPU."""

import json
import os
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


def test_jobs_are_told_their_gpus_and_how_long_they_may_save(repository, tmp_path, monkeypatch):
    """12 bytes a weight at 500 MB/s, after 40 seconds: torchrun itself would allow 30."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    clone.edit("study.yaml", "gpus: 1", "gpus: 4")
    clone.edit("models/tiny.yaml", "source:", "parameters: 1_000_000_000\nsource:")
    asked = re.findall(
        r"run_job.py (.+?) --record \S+/jobs/(\w+)/\S+ --gpus (\d) --", clone.snakemake("-n", "-p")
    )
    saving = "--save-seconds 64"
    assert set(asked) == {(saving, "finetune_model", "4"), (saving, "evaluate_model", "1")}


def test_what_cannot_fit_is_refused_before_any_job(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    clone.edit("models/tiny.yaml", "source:", "parameters: 8_000_000_000\nsource:")
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 81559\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    output = clone.snakemake("-n", fails=True)
    assert "study.yaml:" in output and "compute.gpus: full.pocket_nli takes at least" in output
    assert "it needs 2: set compute.gpus: 2 and finetune.full.settings.sharding: full" in output
