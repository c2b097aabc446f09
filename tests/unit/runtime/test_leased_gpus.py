"""A job that leased GPUs never computes on the CPU beside them."""

import os

import pytest
import torch

import evaluate_model
import finetune_model
from ptft.runtime.gpus import (
    CPU_STANDS_IN,
    LEASED,
    GpusMissing,
    driver_problem,
    require_leased_gpus,
)
from ptft.tools.check_gpu import GpuCheckFailed, check


@pytest.fixture(autouse=True)
def leased(monkeypatch):
    monkeypatch.delenv(CPU_STANDS_IN, raising=False)
    monkeypatch.setenv(LEASED, "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")


def gpus(monkeypatch, count, available=True):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)


def test_fewer_gpus_than_leased_are_refused(monkeypatch, tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 535.161.08\necho 535.161.08\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    gpus(monkeypatch, 1)
    with pytest.raises(GpusMissing) as refused:
        require_leased_gpus()
    assert "leased 2 GPUs (CUDA_VISIBLE_DEVICES=GPU-a,GPU-b), but torch can use 1" in str(
        refused.value
    )
    assert "needs NVIDIA driver 580 or newer; found 535.161.08" in str(refused.value)
    assert "--index-url https://download.pytorch.org/whl/cu126" in str(refused.value)


@pytest.mark.parametrize(
    ("driver", "cuda", "found"),
    [
        ("525.60.13", "12.6", None),  # minor versions of CUDA 12 are compatible
        ("520.61.05", "12.6", "needs NVIDIA driver 525 or newer; found 520.61.05"),
        ("570.86.15", "13.0", "needs NVIDIA driver 580 or newer; found 570.86.15"),
        ("580.65.06", "13.0", None),
        ("580.65.06", None, "built for the CPU alone, the driver is 580.65.06"),
        ("not found", "13.0", None),
    ],
)
def test_a_driver_is_held_against_the_build(driver, cuda, found):
    problem = driver_problem(driver, cuda, "2.13.0+cu130")
    assert problem is None if found is None else found in problem
    assert found is None or "torch==2.13.0 --index-url" in problem


@pytest.mark.parametrize("count", [2, 8])
def test_as_many_as_leased_are_enough(monkeypatch, count):
    gpus(monkeypatch, count)
    require_leased_gpus()
    gpus(monkeypatch, 1)
    with pytest.raises(GpusMissing, match="torch can use 1"):
        require_leased_gpus()


def test_without_a_lease_the_cpu_will_do(monkeypatch):
    gpus(monkeypatch, 0)
    monkeypatch.setenv(LEASED, "0")
    require_leased_gpus()
    monkeypatch.setenv(LEASED, "1")
    with pytest.raises(GpusMissing, match="torch can use 0"):
        require_leased_gpus()


@pytest.mark.parametrize(
    ("program", "options"),
    [
        (finetune_model, "checkpoint train settings state output"),
        (evaluate_model, "model data plan store record output"),
    ],
)
def test_the_programs_stop_before_they_read_a_model(monkeypatch, capsys, program, options):
    gpus(monkeypatch, 0)
    assert program.main([f"--{name}=none" for name in options.split()]) == 1
    assert "error: the job leased 2 GPUs (CUDA_VISIBLE_DEVICES=GPU-a,GPU-b)" in (
        capsys.readouterr().err
    )


def test_a_machine_without_gpu_is_checked_on_its_cpu():
    told = list(check(0))
    assert told[0].startswith(f"torch {torch.__version__}, built for ")
    # Random weights: the loss is that of guessing evenly among 32,000 tokens, ln 32000 = 10.37.
    loss = float(told[2].rsplit(" ", 1)[1])
    assert told[2].startswith("one update of 8 examples: ") and abs(loss - 10.37) < 0.6
    assert told[3].startswith("one scored batch of 8 prompts: ")


def test_a_check_says_that_gpus_are_missing(monkeypatch):
    gpus(monkeypatch, 1)
    with pytest.raises(GpuCheckFailed, match="asks for 2 GPUs a job, torch can use 1 here"):
        list(check(2))
