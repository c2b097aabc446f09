"""Leases of GPUs, the environment of jobs, their records; a study that can't be locked."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from tests.waiting import PATIENCE

import run_job
from ptft.runtime.gpus import LEASED, gpu_memory_gb, gpu_pool, lease
from ptft.runtime.job_records import read_records
from ptft.runtime.locks import StudyLockError, lock_study

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="GPUs are leased by abstract sockets, which Linux alone has"
)
# Leases are the machine's: names of this process only.
A, B, C = (f"GPU-{os.getpid()}-{letter}" for letter in "abc")
SHOW = "import os, json; print(json.dumps(dict(os.environ)))"


def gpu(name):
    """A line of `nvidia-smi -L`."""
    return f"GPU 0: NVIDIA H100 80GB HBM3 (UUID: {name})"


def gpu_slice(name):
    """The line of a part of the GPU above it."""
    return f"  MIG 3g.40gb     Device  0: (UUID: {name})"


def list_gpus(tmp_path, *lines, memory=(81559, 81559, 81559)):
    """Let a tool that stands in for nvidia-smi list these GPUs, and their memory in MiB."""
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir(exist_ok=True)
    (tmp_path / "listed").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "memory").write_text("".join(f"{size}\n" for size in memory))
    tool.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        f"-L) cat {tmp_path / 'listed'} ;;\n"
        f"--query-gpu=memory.total) cat {tmp_path / 'memory'} ;;\n"
        "*) exit 1 ;;\nesac\n"
    )
    tool.chmod(0o755)


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with three GPUs, as nvidia-smi tells."""
    list_gpus(tmp_path, *(gpu(name) for name in (A, B, C)))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def job(tmp_path, *command, gpus=1):
    """A process of run_job.py."""
    options = ["--record", str(tmp_path / "records"), "--gpus", str(gpus), "--"]
    return subprocess.Popen(
        [sys.executable, run_job.__file__, *options, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_leases_are_exclusive_and_end_with_their_block():
    with lease(2) as (two, _), lease(1) as (one, _):
        assert (two, one) == ([A, B], [C])
    with lease(3) as (all_three, _):
        assert all_three == [A, B, C]
    with lease(0) as (none, locks):
        assert none == [] and locks == []


def test_a_preset_value_is_the_pool(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{C},{A}")
    assert gpu_pool() == [C, A]
    with lease(1) as (first, _), lease(1) as (second, _):
        assert (first, second) == ([C], [A])
    with pytest.raises(ValueError, match="asks for 3 GPUs, but this machine offers 2"), lease(3):
        pass


def test_an_allocation_has_locks_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", A)
    with lease(1):
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        with lease(1) as (held, _):
            assert held == [A]


def test_a_cut_gpu_is_leased_by_its_slices(tmp_path):
    one, two = (f"MIG-{os.getpid()}-{part}" for part in "12")
    older = f"MIG-{C}/7/0"  # as drivers before 470 name them
    list_gpus(
        tmp_path, gpu(A), gpu_slice(one), gpu_slice(two), gpu(B), gpu(C), gpu_slice(older)
    )  # fmt: skip
    assert gpu_pool() == [one, two, B, older]
    with lease(1) as (first, _), lease(1) as (second, _), lease(1) as (third, _):
        assert (first, second, third) == ([one], [two], [B])
    said = r"asks for 2 GPUs, .* offers 1 and 3 slices \(MIG\), of which CUDA shows a process one"
    with pytest.raises(ValueError, match=said), lease(2):
        pass
    list_gpus(tmp_path, gpu(A), gpu(B), gpu(C), gpu_slice(one))
    with lease(2) as (whole, _):
        assert whole == [A, B]


def test_the_memory_of_a_gpu_is_what_the_tool_says(tmp_path, monkeypatch):
    assert gpu_memory_gb() == pytest.approx(79.65, abs=0.01)
    list_gpus(tmp_path, gpu(A), gpu(B), memory=(40960, 81920))
    assert gpu_memory_gb() == 80  # nothing is refused that fits one of them
    list_gpus(tmp_path, gpu(A), gpu_slice(f"MIG-{A}"))
    assert gpu_memory_gb() is None  # the slices are smaller
    list_gpus(tmp_path, gpu(A), memory=("[N/A]",))
    assert gpu_memory_gb() is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu_memory_gb() is None


@contextlib.contextmanager
def lease_of(user: int):
    """The GPU that another user's process holds."""
    told, tell = os.pipe()
    wait, release = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(release)
            os.umask(0o077)
            os.setgid(user)
            os.setuid(user)
            with lease(1) as (held, _):
                os.write(tell, held[0].encode())
                os.read(wait, 1)  # until the other end is closed
        finally:
            os._exit(0)
    os.close(tell)
    os.close(wait)
    yield os.read(told, 100).decode()
    os.close(release)
    os.close(told)
    os.waitpid(child, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_users_of_one_machine_share_its_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{A},{B},{C}")
    with lease_of(64321) as first, lease_of(64322) as second, lease(1) as (third, _):
        assert (first, second, third) == (A, B, [C])
    with lease_of(64322) as again:
        assert again == A


def test_a_machine_without_nvidia_smi_has_no_gpus(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu_pool() == []
    with lease(1) as (none, locks):  # the CPU does the work
        assert none == [] and locks == []
    monkeypatch.setenv("SLURM_JOB_ID", "17")  # where they were asked for, they are missing
    with pytest.raises(ValueError, match="asks for 1 GPUs, but this machine offers 0"), lease(1):
        pass


def test_a_job_waits_until_enough_gpus_are_free(tmp_path):
    with lease(2):
        waiting = job(tmp_path, "true", gpus=2)
        line = waiting.stderr.readline()
        assert "fewer than 2 of 3 GPUs are free" in line
        assert waiting.poll() is None
    assert waiting.wait(PATIENCE) == 0


def test_a_lease_outlives_its_killed_holder_while_the_program_runs(tmp_path):
    running = job(tmp_path, "sh", "-c", "echo $$; exec sleep 86400", gpus=3)
    program = int(running.stdout.readline())
    running.kill()
    running.wait()
    late = job(tmp_path, "true")
    assert "fewer than 1 of 3" in late.stderr.readline()
    os.kill(program, signal.SIGKILL)
    assert late.wait(PATIENCE) == 0


def test_the_program_is_offline_without_tokens_and_sees_its_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    output, _ = job(tmp_path, sys.executable, "-c", SHOW, gpus=2).communicate(timeout=PATIENCE)
    environment = json.loads(output)
    assert (environment["CUDA_VISIBLE_DEVICES"], environment[LEASED]) == (f"{A},{B}", "2")
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert "secret" not in output
    output, _ = job(tmp_path, sys.executable, "-c", SHOW, gpus=0).communicate(timeout=PATIENCE)
    assert json.loads(output)["CUDA_VISIBLE_DEVICES"] == ""


def test_sigterm_reaches_the_program_and_its_status_is_passed_on(tmp_path):
    script = "trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done"
    begun = time.time()
    running = job(tmp_path, "sh", "-c", script)
    assert running.stdout.readline() == "ready\n"
    (record,) = read_records(tmp_path / "records")
    assert (record.state, record.gpus, record.slurm_job) == ("running", (A,), None)
    running.terminate()
    assert running.wait(PATIENCE) == 143
    (record,) = read_records(tmp_path / "records")
    assert (record.state, record.status) == ("failed", 143)
    assert 0 < record.seconds < time.time() - begun


def test_what_a_killed_program_started_ends_with_it(tmp_path):
    """As the processes of a generation backend, which would hold the GPU's memory."""
    running = job(tmp_path, "sh", "-c", "setsid sleep 86400 & echo $!; read _; kill -9 $$")
    helper = int(running.stdout.readline())
    assert psutil.pid_exists(helper)
    running.stdin.write("\n")
    running.stdin.flush()
    assert running.wait(PATIENCE) == 128 + signal.SIGKILL
    assert not psutil.pid_exists(helper)


def test_a_study_without_a_place_to_write_is_told_so(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(
        StudyLockError, match=r"main.lock can't be written: Not a directory. Result"
    ):
        lock_study(tmp_path / "results" / "tiny")
