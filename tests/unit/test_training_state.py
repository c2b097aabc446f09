"""State is replaced whole or not at all, and one process at a time trains."""

import multiprocessing
import time

import pytest
import torch

from ptft.training.state import StateFolder, exclusive, fingerprint, finished_folder


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


def hold(path, seconds, queue):
    with exclusive(path):
        queue.put(("in", time.monotonic()))
        time.sleep(seconds)
        queue.put(("out", time.monotonic()))


def test_a_second_process_waits_for_the_first(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=hold, args=(tmp_path / "state", 0.3, queue)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    events = sorted((queue.get(timeout=30) for _ in range(6)), key=lambda event: event[1])
    for worker in workers:
        worker.join()
    assert [name for name, _ in events] == ["in", "out"] * 3
    assert not list(tmp_path.iterdir())


def test_fingerprint_follows_contents(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text("a")
    first = fingerprint({"lr": 1.0, "seed": 0}, [file])
    assert fingerprint({"seed": 0, "lr": 1.0}, [file]) == first
    assert fingerprint({"seed": 1, "lr": 1.0}, [file]) != first
    file.write_text("b")
    assert fingerprint({"lr": 1.0, "seed": 0}, [file]) != first


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
