"""Other ways give the updates of the plain one, and the fastest that agrees is chosen; on a CPU."""

import json
from functools import partial

import pytest
import torch
from remedy_runs import assert_same_run, some_examples, stopped_and_resumed, trained
from remedy_runs import trainer_of as run_of

from ptft.models.loading import load_model
from ptft.training import updates
from ptft.training.devices import Devices
from ptft.training.gradients import TokenBudget
from ptft.training.methods import LoraSettings
from ptft.training.optimizer import _adamw
from ptft.training.settings import TrainingSettings
from ptft.training.updates import PLAIN, WAYS, Way, choose_way, possible_ways

_, COMPILED, MASTERS, _ = WAYS

EVERY = {
    "dtype": "bfloat16", "token_budget": 10_000, "weight_decay": 0.1,
    "max_grad_norm": 0.05,  # clips every update
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def traced():
    """Code to be compiled is traced, and run as it was traced.

    Machine code of it takes minutes to make; where it is used, each study compares it with plain
    updates first.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
        yield


def trainer_of(checkpoint, way, **changes):
    """One micro-batch an update, unless it is said otherwise."""
    return run_of(checkpoint, way=way, **(EVERY | changes))


def train(checkpoint, folder, way, **changes):
    return trained(partial(trainer_of, checkpoint, way, **changes), folder / way.name)


def same(one, other, rtol, atol):
    """Losses, norms and weights of two runs."""
    for row, expected in zip(other.curve, one.curve, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=rtol)
        assert row["grad_norm"] == pytest.approx(expected["grad_norm"], rel=rtol)
    for name, weight in one.run.model.named_parameters():
        found = dict(other.run.model.named_parameters())[name]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, weight, rtol=rtol, atol=atol, msg=name)


@pytest.mark.parametrize(
    "changes",
    [{}, {"token_budget": 40}, {"l2sp": 0.5}, {"max_grad_norm": 0.0}, {"freeze": 1}],
    ids=["one micro-batch", "several", "L2-SP", "no clipping", "frozen"],
)
@pytest.mark.slow
def test_master_weights_give_the_same_updates(checkpoint, tmp_path, changes):
    """The same is rounded and summed; a rate so low that nothing else can grow."""
    plain, masters = (
        train(checkpoint, tmp_path, way, lr=1e-4, **changes) for way in (PLAIN, MASTERS)
    )
    assert masters.curve[0]["loss"] == plain.curve[0]["loss"]  # no update yet: the same bits
    same(plain, masters, rtol=1e-4, atol=2e-6)
    moved = [
        name
        for name, weight in load_model(checkpoint).named_parameters()
        if not torch.equal(weight, dict(masters.run.model.named_parameters())[name])
    ]
    assert len(moved) == len(masters.trained)


def test_gradients_of_rounded_layers_are_those_under_autocast(checkpoint):
    plain, masters = (trainer_of(checkpoint, way) for way in (PLAIN, MASTERS))
    layers = masters.optimizer.masters.weights
    assert len(layers) == 7 * 2  # of each block; not embeddings, not norms
    assert {weight.dtype for weight in layers.values()} == {torch.bfloat16}
    for budget in (10_000, 40):
        losses = []
        for trainer in (plain, masters):
            trainer.optimizer.zero_grad()
            trainer.gradients.budget = TokenBudget(budget, budget)
            losses.append(trainer.gradients.add_up(some_examples(8), 1))
            trainer.optimizer.collect()
        assert losses[0] == losses[1]
        for name, weight in plain.trained.items():
            assert torch.equal(weight.grad, masters.trained[name].grad), name


@pytest.mark.slow
def test_a_run_with_masters_resumes_to_the_same_weights(checkpoint, tmp_path):
    make = partial(trainer_of, checkpoint, MASTERS)
    undisturbed = trained(make, tmp_path / "a")
    assert_same_run(undisturbed, stopped_and_resumed(make, tmp_path / "b", after=3))
    assert {weight.dtype for weight in undisturbed.run.model.parameters()} == {torch.float32}


@pytest.mark.slow
def test_adapters_have_masters_too(checkpoint, tmp_path):
    changes = {"kind": LoraSettings, "method": "lora", "rank": 2, "lr": 1e-4}
    plain, masters = (train(checkpoint, tmp_path, way, **changes) for way in (PLAIN, MASTERS))
    assert len(masters.trained) == len(masters.optimizer.masters.weights) == 2 * 7 * 2
    for name, weight in plain.trained.items():
        torch.testing.assert_close(masters.trained[name], weight, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("done", [0, 6, 5000])
def test_one_step_is_that_of_torch(done):
    """Of the pass that is compiled, behind so many others."""
    torch.manual_seed(0)
    master, gradient = torch.randn(50), torch.randn(50).bfloat16()
    weight, first, second = torch.empty(50).bfloat16(), torch.randn(50), torch.rand(50)
    reference = torch.nn.Parameter(master.clone())
    adamw = torch.optim.AdamW([reference], lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    adamw.state[reference] = {
        "step": torch.tensor(float(done)), "exp_avg": first.clone(), "exp_avg_sq": second.clone(),
    }  # fmt: skip
    reference.grad = gradient.float() / 4
    adamw.step()
    corrections = torch.tensor([1 - 0.8 ** (done + 1), (1 - 0.95 ** (done + 1)) ** 0.5])
    _adamw([master], [first], [second], [weight], [gradient], torch.tensor(0.01),
           torch.tensor(4.0), corrections, 0.8, 0.95, 1e-6, 0.1)  # fmt: skip
    torch.testing.assert_close(master, reference.detach(), rtol=1e-6, atol=1e-7)
    state = adamw.state[reference]
    torch.testing.assert_close(first, state["exp_avg"], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(second, state["exp_avg_sq"], rtol=1e-6, atol=1e-7)
    assert torch.equal(weight, master.bfloat16())


@pytest.mark.slow
def test_compiled_blocks_give_the_same_updates(checkpoint, tmp_path):
    """In float32, batches of other lengths included."""
    changes = {"dtype": "float32", "epochs": 1}
    same(*(train(checkpoint, tmp_path, way, **changes) for way in (PLAIN, COMPILED)),
         rtol=1e-4, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "devices", "ways"),
    [
        ({}, Devices(torch.device("cuda")), WAYS),
        ({}, Devices(torch.device("cpu")), (PLAIN,)),
        ({}, Devices(torch.device("cuda"), 0, 2), (PLAIN,)),
        ({"dtype": "float32"}, Devices(torch.device("cuda")), (PLAIN,)),
        ({"updates": "plain"}, Devices(torch.device("cuda")), (PLAIN,)),
    ],
)
def test_ways_are_for_one_gpu_in_bfloat16(settings, devices, ways):
    assert possible_ways(TrainingSettings(**settings), devices) == ways


class Clock:
    """Time that passes as ways are said to take it."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def monotonic(self):
        return self.now


@pytest.fixture
def tried(checkpoint, monkeypatch):
    """Ways that take given seconds an update, after given seconds of compiling; some fail."""
    clock = Clock({"plain": (0, 1.0), "quick": (3, 0.5), "slow": (0, 2.0), "wrong": (0, 0.1),
                   "broken": (0, 0.1)})  # fmt: skip
    made = []

    def make(way):
        made.append(way.name)
        if way.name == "broken":
            raise RuntimeError("no such kernel\nat all")
        trainer = run_of(checkpoint, way=way, lr=1e-2 if way.name != "wrong" else 1.0, epochs=8)
        update, (begin, each) = trainer.update, clock.seconds[way.name]

        def timed():
            clock.now += each + (begin if trainer.step == 0 else 0)
            update()

        trainer.update = timed
        return trainer

    monkeypatch.setattr(updates, "time", clock)
    return make, made


def test_the_fastest_way_that_agrees_is_taken_by_all_jobs(tried, tmp_path, caplog):
    """24 updates: plain 24 s, quick 3 + 12 s; what is wrong or fails is dropped with one line."""
    make, made = tried
    ways = tuple(Way(name) for name in ("plain", "quick", "slow", "wrong", "broken"))
    record = tmp_path / "state/updates/full.json"
    assert choose_way(ways, record, make).name == "quick"
    assert made == [way.name for way in ways]
    found = {trial["way"]: trial for trial in json.loads(record.read_text())["trials"]}
    assert found["plain"]["seconds"] == pytest.approx(24)
    assert found["quick"]["seconds"] == pytest.approx(15)
    assert found["quick"]["updates_per_second"] == pytest.approx(2)
    assert found["slow"]["dropped"] is None and found["slow"]["difference"] == 0
    assert found["wrong"]["difference"] > 0.005 and "differs by" in found["wrong"]["dropped"]
    assert found["broken"]["dropped"] == "fails: RuntimeError: no such kernel"
    assert "broken is not used" in caplog.text and "wrong is not used" in caplog.text
    # Others of the study follow, and those that can't be plain.
    assert choose_way(ways, record, make).name == "quick" and len(made) == 5
    assert choose_way((PLAIN,), record, make) == PLAIN
    assert choose_way((PLAIN, MASTERS), record, make) == PLAIN
