"""State is replaced whole or not at all, and one process at a time trains."""

import contextlib
import multiprocessing
import os

import pytest
import torch
from tests.waiting import wait_until

from ptft.runtime.job_records import RECORD, read_records, recorded
from ptft.runtime.locks import exclusive
from ptft.training.state import StateFolder, finished_folder


def test_state_comes_back_and_that_of_another_run_does_not(tmp_path):
    folder = StateFolder(tmp_path / "state", "run one")
    assert folder.load() is None
    folder.save({"step": 3, "weights": torch.arange(4.0)})
    assert folder.load()["step"] == 3
    assert torch.equal(folder.load()["weights"], torch.arange(4.0))
    assert StateFolder(tmp_path / "state", "run two").load() is None


def test_full_disk_leaves_the_former_state(tmp_path, monkeypatch):
    folder = StateFolder(tmp_path, "run")
    folder.save({"step": 3})

    def full(value, handle):
        handle.write(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file: no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"could not save .*state\.pt.*no space left"):
        folder.save({"step": 4})
    assert folder.load()["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def hold(folder, held, release):
    """Hold the lock until told otherwise."""
    with exclusive(folder / "state"):
        held.set()
        release.wait()


def enter(folder, record, inside):
    """Take the lock as a job does; fails if another process is inside."""
    os.environ[RECORD] = str(record)
    with exclusive(folder / "state"):
        inside.touch(exist_ok=False)
        inside.unlink()


def test_other_processes_wait_and_say_so(tmp_path):
    folder, inside = tmp_path / "work", tmp_path / "inside"
    fork = multiprocessing.get_context("fork")
    held, release = fork.Event(), fork.Event()
    holder = fork.Process(target=hold, args=(folder, held, release))
    holder.start()
    held.wait()
    with contextlib.ExitStack() as jobs:
        entered = [jobs.enter_context(recorded(tmp_path / f"{job}", [])) for job in range(3)]
        records = [record for record, _ in entered]
        workers = [fork.Process(target=enter, args=(folder, file, inside)) for file in records]
        for worker in workers:
            worker.start()

        def waiting_for():
            return [read_records(file.parent)[0].waiting_for for file in records]

        wait_until(lambda: waiting_for() == [str(folder / "state.lock")] * 3, "all three wait")
        assert not inside.exists()
        release.set()
        for process in (holder, *workers):
            process.join()
            assert process.exitcode == 0
        assert waiting_for() == [None] * 3
    assert not list(folder.iterdir())


def test_folder_appears_whole_or_not_at_all(tmp_path):
    output = tmp_path / "model"
    with pytest.raises(RuntimeError), finished_folder(output) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    output.mkdir()
    (output / "old").touch()
    with finished_folder(output) as folder:
        (folder / "new").touch()
    assert [path.name for path in output.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
