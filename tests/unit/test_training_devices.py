"""Several devices give the same run as one: two CPU processes with gloo."""

import os
import socket

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, tiny_tokenizer

from ptft.training.attention import NAME
from ptft.training.devices import join_devices, leave_devices
from ptft.training.examples import completion_examples
from ptft.training.loop import Run, Trainer
from ptft.training.model import load_model
from ptft.training.settings import TrainingSettings
from ptft.training.state import Interrupted, StateFolder, StopRequest


def run_of(checkpoint, sharding):
    """26 examples in batches of 5: the last batch of an epoch is one, fewer than devices."""
    budget = 40 if sharding == "full" else None
    settings = TrainingSettings(epochs=2, batch_size=5, sharding=sharding, token_budget=budget)
    examples = completion_examples(tiny_tokenizer(), tiny_rows(26, longest=20), TEMPLATE)
    model = load_model(checkpoint, attention=NAME)
    return Run(model, examples, examples[:4], settings, 3e-3, 5, join_devices())


def work(rank, checkpoint, folder, port):
    """One of two processes, for both kinds of sharding."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    for sharding in ("data", "full"):
        stop_and_resume(rank, checkpoint, sharding, folder / sharding)
    leave_devices()


def stop_and_resume(rank, checkpoint, sharding, folder):
    """Stop after update 4, then resume from the state and finish."""
    state = StateFolder(folder / "state", "same")
    stop = StopRequest()
    first = Trainer(run_of(checkpoint, sharding))
    update = first._update

    def update_and_stop():
        update()
        stop.requested = first.step == 4 and rank == 1  # only one process hears of it

    first._update = update_and_stop
    with pytest.raises(Interrupted, match="after update 4 of 12"):
        first.train(state, stop)
    stop.requested = False
    second = Trainer(run_of(checkpoint, sharding))
    second.train(state, stop)
    weights = second.whole_weights()
    if rank == 0:
        torch.save({"curve": second.curve, "weights": weights}, folder / "result.pt")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def two_devices(checkpoint, tmp_path_factory):
    """Folder of the results of two processes, a folder for each kind of sharding."""
    folder = tmp_path_factory.mktemp("results")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(work, (checkpoint, folder, port), nprocs=2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["data", "full"])
def test_two_devices_equal_one(sharding, checkpoint, two_devices, tmp_path):
    result = torch.load(two_devices / sharding / "result.pt", weights_only=True)
    one = Trainer(run_of(checkpoint, "data"))
    one.train(StateFolder(tmp_path, "a"), StopRequest())
    for key in ("loss", "grad_norm", "validation_loss"):
        found, expected = (
            [row[key] for row in curve if key in row] for curve in (result["curve"], one.curve)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(result["curve"]) == 13
    own = one.run.model.state_dict()
    assert result["weights"].keys() == own.keys()
    for name, value in result["weights"].items():
        assert (value - own[name]).norm() / own[name].norm() < 1e-5, name


def test_more_gpus_than_seen_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 GPUs are asked for on this machine, but it has 1"):
        join_devices()
