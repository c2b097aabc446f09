"""The other ways of the optimizer give the updates of the plain one, in bfloat16 on a CPU."""

from functools import partial

import pytest
import torch
from remedy_runs import assert_same_run, some_examples, stopped_and_resumed, trained
from remedy_runs import trainer_of as run_of

from ptft.models.loading import load_model
from ptft.training.master_weights import _adamw
from ptft.training.methods.lora import LoraSettings
from ptft.training.optimizer import Optimizer, norm_of
from ptft.training.settings import TrainingSettings

EVERY = {
    "dtype": "bfloat16", "token_budget": 10_000, "weight_decay": 0.1,
    "max_grad_norm": 0.05,  # clips every update
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory):
    """Compilations are kept for this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


def trainer_of(checkpoint, way, **changes):
    """One micro-batch an update, unless it is said otherwise."""
    return run_of(checkpoint, optimizer=way, **(EVERY | changes))


def train(checkpoint, folder, way, **changes):
    return trained(partial(trainer_of, checkpoint, way, **changes), folder / way)


def same(one, other, rtol, atol):
    """Losses, norms and weights of two runs."""
    for row, expected in zip(other.curve, one.curve, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=rtol)
        assert row["grad_norm"] == pytest.approx(expected["grad_norm"], rel=rtol)
    for name, weight in one.run.model.named_parameters():
        found = dict(other.run.model.named_parameters())[name]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, weight, rtol=rtol, atol=atol, msg=name)


@pytest.mark.parametrize("max_grad_norm", [0.05, 0.0])
def test_clipping_inside_of_adamw_gives_the_same_weights(checkpoint, tmp_path, max_grad_norm):
    changes = {"dtype": "float32", "max_grad_norm": max_grad_norm}
    ways = [train(checkpoint, tmp_path, way, **changes) for way in ("adamw", "adamw_clip")]
    assert all(row["grad_norm"] > 0.05 for row in ways[0].curve)
    same(*ways, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "changes",
    [{}, {"token_budget": 40}, {"l2sp": 0.5}, {"max_grad_norm": 0.0}, {"freeze": 1}],
    ids=["one micro-batch", "several", "L2-SP", "no clipping", "frozen"],
)
@pytest.mark.slow
def test_master_weights_give_the_same_updates(checkpoint, tmp_path, changes):
    """What is rounded and summed is the same; a rate so low that nothing else can grow."""
    plain, masters = (
        train(checkpoint, tmp_path, way, lr=1e-4, **changes) for way in ("adamw", "adamw_masters")
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
    plain, masters = (trainer_of(checkpoint, way) for way in ("adamw", "adamw_masters"))
    layers = masters.optimizer.masters.weights
    assert len(layers) == 7 * 2  # of each block; not embeddings, not norms
    assert {weight.dtype for weight in layers.values()} == {torch.bfloat16}
    for budget in (10_000, 40):
        losses = []
        for trainer in (plain, masters):
            trainer.optimizer.zero_grad()
            trainer.gradients.token_budget = budget
            losses.append(trainer.gradients.add_up(some_examples(8), 1))
            trainer.optimizer.collect()
        assert losses[0] == losses[1]
        for name, weight in plain.trained.items():
            assert torch.equal(weight.grad, masters.trained[name].grad), name


@pytest.mark.slow
def test_a_run_with_masters_resumes_to_the_same_weights(checkpoint, tmp_path):
    make = partial(trainer_of, checkpoint, "adamw_masters")
    undisturbed = trained(make, tmp_path / "a")
    assert_same_run(undisturbed, stopped_and_resumed(make, tmp_path / "b", after=3))
    assert {weight.dtype for weight in undisturbed.run.model.parameters()} == {torch.float32}


@pytest.mark.slow
def test_adapters_have_masters_too(checkpoint, tmp_path):
    changes = {"kind": LoraSettings, "method": "lora", "rank": 2, "lr": 1e-4}
    plain, masters = (
        train(checkpoint, tmp_path, way, **changes) for way in ("adamw", "adamw_masters")
    )
    assert len(masters.trained) == len(masters.optimizer.masters.weights) == 2 * 7 * 2
    for name, weight in plain.trained.items():
        torch.testing.assert_close(masters.trained[name], weight, rtol=1e-4, atol=2e-6)


def test_without_bfloat16_there_are_no_masters(checkpoint):
    trainer = trainer_of(checkpoint, "adamw_masters", dtype="float32")
    assert trainer.optimizer.masters is None and trainer.optimizer.clips_inside


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


def test_the_norm_is_summed_in_float32():
    """In bfloat16 that of 101 ones would be 10."""
    rounded, whole = torch.ones(101, dtype=torch.bfloat16), torch.full((4,), 3.0)
    assert norm_of([whole], [rounded]).item() == pytest.approx((101 + 36) ** 0.5, rel=1e-6)
    assert norm_of([whole], []).item() == 6


def test_memory_that_ends_between_two_moments_leaves_none_alone(checkpoint, monkeypatch):
    """So a step can be tried again, and moves as if nothing had been."""
    settings = TrainingSettings(lr=1e-2)
    models = [load_model(checkpoint) for _ in range(2)]
    undisturbed, disturbed = (Optimizer(model, settings, False, recorded=True) for model in models)
    for model in models:
        for weight in model.parameters():
            weight.grad = torch.ones_like(weight)
    made = torch.zeros_like

    def full(*arguments, **changes):
        monkeypatch.setattr(torch, "zeros_like", short)
        return made(*arguments, **changes)

    def short(*_, **__):
        monkeypatch.setattr(torch, "zeros_like", made)
        raise torch.OutOfMemoryError("CUDA out of memory")

    undisturbed.set_rate(0.1)
    undisturbed.step()
    disturbed.set_rate(0.1)
    monkeypatch.setattr(torch, "zeros_like", full)
    with pytest.raises(torch.OutOfMemoryError):
        disturbed.step()
    disturbed.step()
    for name, weight in undisturbed.trained.items():
        assert torch.equal(disturbed.trained[name], weight), name
        assert not torch.equal(weight, load_model(checkpoint).get_parameter(name))


def test_a_state_that_was_saved_elsewhere_can_be_recorded(checkpoint):
    """Where nothing is recorded, the saved settings say so; the device that goes on has its own."""
    settings = TrainingSettings(cuda_graphs=True)
    saved = Optimizer(load_model(checkpoint), settings, False)
    saved.set_rate(0.1)
    resumed = Optimizer(load_model(checkpoint), settings, False, recorded=True)
    resumed.adamw.load_state_dict(saved.adamw.state_dict())
    resumed.set_rate(0.2)
    [group] = resumed.adamw.param_groups
    assert group["capturable"] is True and group["lr"] is resumed.rate
    assert resumed.rate.item() == pytest.approx(0.2)
