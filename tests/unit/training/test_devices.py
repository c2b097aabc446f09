"""Several devices give the same run as one: two CPU processes with gloo."""

import ctypes
import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, tiny_tokenizer

from ptft.models.folder import weight_shapes
from ptft.models.loading import load_model
from ptft.training import devices as device_module
from ptft.training.devices import (
    LONGEST_WAIT,
    Devices,
    join_devices,
    leave_devices,
    place,
    scattered,
    whole_weights,
)
from ptft.training.examples import completion_examples
from ptft.training.gradients import trained_numbers
from ptft.training.loop import Run, Trainer
from ptft.training.methods import LoraSettings, get_method
from ptft.training.packing import NAME
from ptft.training.remedies import Reference, freeze
from ptft.training.settings import TrainingSettings
from ptft.training.state import Interrupted, StateFolder, StopRequest

REMEDIES = {
    "l2sp": 0.05, "kl": 0.5, "freeze": 1, "validation_examples": 4,
    "validation_steps": [2, 4, 6, 8, 10], "early_stopping": 1,
}  # fmt: skip
MICRO_BATCH = 40  # tokens: several micro-batches an update


def run_of(
    checkpoint,
    sharding,
    dtype="float32",
    budget=MICRO_BATCH,
    devices=None,
    lora=False,
    **remedies,
):
    """26 examples in batches of 5: the last batch of an epoch is one, fewer than devices."""
    kind = LoraSettings if lora else TrainingSettings
    settings = kind(
        epochs=2, batch_size=5, lr=3e-3, sharding=sharding, token_budget=budget, dtype=dtype,
        **remedies,
    )  # fmt: skip
    examples = completion_examples(tiny_tokenizer(), tiny_rows(26, longest=20), TEMPLATE)
    devices = devices or join_devices()
    model = load_model(checkpoint, attention=NAME)
    if lora:
        torch.manual_seed(5)
        model = get_method("lora").prepare(model, settings)
        get_method("lora").lighten(model, torch.bfloat16)
    freeze(model, settings.freeze)
    model = place(model, devices, sharding, dtype == "bfloat16")
    base = None
    if settings.kl:
        base = load_model(checkpoint, attention=NAME).requires_grad_(False)
        base = Reference(place(base, devices, sharding, False))
    return Run(model, examples, examples[:4], settings, 5, devices, None, base)


def work(rank, checkpoint, deep, folder, port):
    """One of two processes: runs of both kinds of sharding, and what sharding takes."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE="True",
    )  # fmt: skip
    devices = join_devices()
    stop_and_resume(rank, checkpoint, "data", folder / "data", devices)
    stop_and_resume(rank, checkpoint, "full", folder / "full", devices)
    in_bfloat16 = {"sharding": "full", "dtype": "bfloat16", "devices": devices}
    finish(run_of(checkpoint, **in_bfloat16), folder, "bfloat16")
    finish(run_of(checkpoint, **in_bfloat16, lora=True), folder, "adapter")  # its base is frozen
    for sharding in ("data", "full"):
        run = run_of(checkpoint, sharding, devices=devices, **REMEDIES)
        finish(run, folder, f"remedied-{sharding}")
    limits = {"longest_wait": longest_wait(devices)}
    torch.save(
        shares(deep, devices) | saving(deep, folder, devices) | limits, folder / f"{rank}.pt"
    )
    leave_devices()


def finish(run, folder, name, state=None, stop=None):
    """Train to the end; the main process leaves the curve and the weights."""
    trainer = Trainer(run)
    trainer.train(state or StateFolder(folder / f"{name}-state", "same"), stop or StopRequest())
    weights = whole_weights(run.model, run.devices)
    if run.devices.main:
        left = {"curve": trainer.curve, "weights": weights, "best": trainer.stopping.step}
        torch.save(left, folder / f"{name}.pt")
    return weights


def shares(deep, devices):
    """This device's part of a sharded model, and of its gradient within an update."""
    run = run_of(deep, "full", devices=devices)
    trainer = Trainer(run)
    objective, kept = trainer.gradients.objective, []

    def counted(*given):
        kept.append(whole_gradients(run.model))
        return objective(*given)

    trainer.gradients.objective = counted
    trainer.gradients.accumulate(run.train[:10])
    own = sum(p.grad.to_local().numel() for p in run.model.parameters())
    whole = sum(p.numel() for p in run.model.parameters())
    return {"gradient": own, "whole": whole, "trained": trained_numbers(run.model),
            "whole_gradients": kept}  # fmt: skip


def whole_gradients(model):
    """How many are kept whole: those of passes that did not exchange them, for the last to do."""
    return sum(
        parameter.unsharded_accumulated_grad is not None or whole.grad is not None
        for part in model.modules()
        if (state := getattr(part, "_get_fsdp_state", None))
        for group in [state()._fsdp_param_group]
        if group
        for parameter in group.fsdp_params
        if (whole := getattr(parameter, "_unsharded_param", None)) is not None
    )


def saving(deep, folder, devices):
    """Bytes by which this process grows while the state of a deep model is saved."""
    with devices.in_turn():
        begun = time.monotonic()
        run_of(deep, "data", devices=Devices(devices.device))  # read whole
        ended = time.monotonic()
    measured = {"validation_examples": 4, "validation_steps": [1], "early_stopping": 1}
    trainer = Trainer(run_of(deep, "full", devices=devices, **measured))
    state = SlowState(folder / "deep", "same")
    trainer.update()
    ctypes.CDLL(None).malloc_trim(0)  # what is free already must not be used again unseen
    Path("/proc/self/clear_refs").write_text("5")  # Linux: restarts the count of peak memory
    before = resident("VmHWM")
    trainer._save(state)
    grown, left = resident("VmHWM") - before, [time.monotonic()]
    trainer._validate(state)  # the weights are the best so far
    left.append(time.monotonic())
    return {
        "grown": grown, "turn": (begun, ended), "written": state.written, "left": left,
        "read": reading(trainer, state),
    }  # fmt: skip


def reading(trainer, state):
    """Bytes of its own by which this process has grown when it takes its share of a state."""
    grown, before = [], resident("RssAnon")

    def sampled(*given):
        grown.append(resident("RssAnon") - before)
        return scattered(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_module, "scattered", sampled)
        trainer._resume(state)
    return grown[0]


class SlowState(StateFolder):
    """Notes when it has written, which takes a while."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.written = []

    def _write(self, *arguments):
        super()._write(*arguments)
        time.sleep(0.5)
        self.written.append(time.monotonic())


def test_wishes_are_exchanged_on_the_host(monkeypatch):
    """On several GPUs no update waits for its GPU to agree on a stop."""
    sent = []
    monkeypatch.setattr(
        device_module.dist, "all_reduce", lambda votes, group: sent.append((votes.device, group))
    )
    devices = Devices(torch.device("cuda"), 0, 2, waiting="the hosts")
    assert devices.any(True, False) == [True, False]
    assert sent == [(torch.device("cpu"), "the hosts")]


def resident(kind):
    """Bytes of this process, as /proc/self/status says."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{kind}:")[1].split()[0])


def longest_wait(devices):
    """Seconds after which waiting for the other processes is given up."""
    return devices.waiting._get_backend(devices.device).options._timeout.total_seconds()


def stop_and_resume(rank, checkpoint, sharding, folder, devices):
    """Stop after update 4, then resume from the state and finish."""
    state = StateFolder(folder / "state", "same")
    stop = StopRequest()
    first = Trainer(run_of(checkpoint, sharding, devices=devices))
    update = first.update

    def update_and_stop():
        update()
        stop.requested = first.step == 4 and rank == 1  # only one process hears of it

    first.update = update_and_stop
    with pytest.raises(Interrupted, match="after update 4 of 12"):
        first.train(state, stop)
    stop.requested = False
    run = run_of(checkpoint, sharding, devices=devices)
    weights = finish(run, folder, "result", state, stop)
    if rank == 0:
        get_method("full").save(run.model, folder / "model", torch.float32, weights)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """32 MB of weights in small matrices."""
    folder = tmp_path_factory.mktemp("deep")
    return save_tiny_checkpoint(
        folder, hidden_size=128, intermediate_size=512, num_hidden_layers=32
    )


@pytest.fixture(scope="module")
def two_devices(checkpoint, deep, tmp_path_factory):
    """Folder of the results of two processes, a folder for each kind of sharding."""
    folder = tmp_path_factory.mktemp("results")
    # Held by this process, as by torchrun: a free port that is looked up may be taken by then.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    mp.spawn(work, (checkpoint, deep, folder, store.port), nprocs=2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["data", "full"])
@pytest.mark.parametrize(("name", "remedies"), [("{}/result", {}), ("remedied-{}", REMEDIES)])
def test_two_devices_equal_one(sharding, name, remedies, checkpoint, two_devices, tmp_path):
    result = torch.load(two_devices / f"{name.format(sharding)}.pt", weights_only=True)
    one = Trainer(run_of(checkpoint, "data", **remedies))
    one.train(StateFolder(tmp_path, "a"), StopRequest())
    for key in ("loss", "grad_norm", "validation_loss"):
        found, expected = (
            [row[key] for row in curve if key in row] for curve in (result["curve"], one.curve)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert result["best"] == one.stopping.step
    assert len(result["curve"]) == len(one.curve) and (remedies or len(one.curve) == 13)
    own = one.run.model.state_dict()
    assert result["weights"].keys() == own.keys()
    for name, value in result["weights"].items():
        assert (value - own[name]).norm() / own[name].norm() < 1e-5, name


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["data", "full"])
def test_tied_weights_of_two_devices_are_saved_once(sharding, checkpoint, two_devices, tmp_path):
    get_method("full").save(load_model(checkpoint), tmp_path, torch.float32)
    alone, together = (
        weight_shapes(folder / "model.safetensors")
        for folder in (tmp_path, two_devices / sharding / "model")
    )
    assert together == alone and "lm_head.weight" not in alone
    load_model(two_devices / sharding / "model")


@pytest.mark.slow
def test_a_sharded_adapter_has_its_base_in_bfloat16(checkpoint, two_devices, tmp_path):
    sharded = torch.load(two_devices / "adapter.pt", weights_only=True)
    one = Trainer(run_of(checkpoint, "data", "bfloat16", lora=True))
    one.train(StateFolder(tmp_path, "a"), StopRequest())
    found, expected = (
        [row["loss"] for row in curve[1:]] for curve in (sharded["curve"], one.curve)
    )
    np.testing.assert_allclose(found, expected, rtol=2e-2)
    base = [name for name in sharded["weights"] if "base_layer" in name]
    own = one.run.model.state_dict()
    assert base and all(torch.equal(sharded["weights"][name], own[name]) for name in base)
    assert {sharded["weights"][name].dtype for name in base} == {torch.bfloat16}


def distance(one, other):
    """Relative distance of two runs: of their losses, and the largest of a weight matrix."""
    losses = [np.array([row["loss"] for row in run["curve"][1:]]) for run in (one, other)]
    weights = max(
        float((value - other["weights"][name]).norm() / value.norm())
        for name, value in one["weights"].items()
    )
    return float(np.abs(losses[0] / losses[1] - 1).max()), weights


@pytest.mark.slow
def test_sharded_equals_one_device_in_bfloat16_too(checkpoint, two_devices, tmp_path):
    """As closely as one device's runs with other micro-batches equal one another."""
    alone = []
    for budget in (1, MICRO_BATCH, 2 * MICRO_BATCH, 4 * MICRO_BATCH):
        one = Trainer(run_of(checkpoint, "data", "bfloat16", budget))
        one.train(StateFolder(tmp_path / str(budget), "a"), StopRequest())
        alone.append({"curve": one.curve, "weights": one.run.model.state_dict()})
    sharded = torch.load(two_devices / "bfloat16.pt", weights_only=True)
    between = [distance(*pair) for pair in itertools.combinations(alone, 2)]
    found = distance(alone[1], sharded)
    first, alike = (run["curve"][1] for run in (sharded, alone[1]))
    assert first["loss"] == pytest.approx(alike["loss"], rel=1e-5)
    assert first["grad_norm"] == pytest.approx(alike["grad_norm"], rel=5e-4)
    # Rounding in bfloat16 goes its own way in every run, and from machine to machine.
    for mine, theirs in zip(found, zip(*between, strict=True), strict=True):
        assert mine < 3 * max(theirs)


@pytest.fixture(scope="module")
def taken(two_devices):
    """Memory of each process under sharding."""
    return [torch.load(two_devices / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
def test_a_device_holds_and_counts_its_share_only(taken):
    for process in taken:
        assert process["gradient"] == process["whole"] // 2
        assert process["trained"] == process["whole"] // 2
        assert len(process["whole_gradients"]) > 1  # before each micro-batch
        assert set(process["whole_gradients"]) == {0}


@pytest.mark.slow
def test_processes_wait_for_one_that_writes_or_is_kept_out_by_a_lock(taken):
    """Longer than NCCL's ten minutes, after which it ends them all."""
    assert [process["longest_wait"] for process in taken] == 2 * [LONGEST_WAIT.total_seconds()]
    assert LONGEST_WAIT.total_seconds() > 24 * 3600


@pytest.mark.slow
def test_nothing_is_shared_while_the_main_process_writes(taken):
    """Shared work of the devices has NCCL's short limit: the others wait before it."""
    assert [len(process["written"]) for process in taken] == [2, 0]  # state, best weights
    for written, left in zip(taken[0]["written"], taken[1]["left"], strict=True):
        assert written <= left


@pytest.mark.slow
def test_the_main_process_alone_holds_whole_weights(taken):
    state = 12 * taken[0]["whole"]  # weights and two moments in float32
    assert state > 90e6
    assert taken[0]["grown"] > 0.8 * state
    assert taken[1]["grown"] < 0.15 * state
    assert all(process["read"] < 0.15 * state for process in taken)  # a mapped file is no copy
    (_, first), (second, _) = (process["turn"] for process in taken)
    assert first <= second


def test_more_gpus_than_seen_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 GPUs are asked for on this machine, but it has 1"):
        join_devices()
