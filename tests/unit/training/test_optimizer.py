"""The other ways of the optimizer give the updates of the plain one, in bfloat16 on a CPU."""

import pytest
import torch
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model
from ptft.training.attention import NAME
from ptft.training.devices import Devices
from ptft.training.examples import completion_examples
from ptft.training.loop import Trainer
from ptft.training.master_weights import _adamw
from ptft.training.methods import get_method
from ptft.training.methods.lora import LoraSettings
from ptft.training.optimizer import Optimizer, norm_of
from ptft.training.run import Run
from ptft.training.settings import TrainingSettings
from ptft.training.state import Interrupted, StateFolder, StopRequest

CPU = torch.device("cpu")
EVERY = {"dtype": "bfloat16", "max_grad_norm": 0.05, "weight_decay": 0.1}  # clips every update


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory):
    """Compilations are kept for this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def examples():
    return completion_examples(tiny_tokenizer(), tiny_rows(32, longest=20), TEMPLATE)


def trainer_of(checkpoint, examples, model=None, lr=3e-3, **changes):
    settings = TrainingSettings(epochs=2, batch_size=8, lr=lr, **(EVERY | changes))
    model = model or load_model(checkpoint, attention=NAME)
    return Trainer(Run(model, examples, [], settings, lr, 0, Devices(CPU)))


def train(trainer, folder):
    with StopRequest() as stop:
        trainer.train(StateFolder(folder, "same"), stop)
    return trainer


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
def test_clipping_inside_of_adamw_gives_the_same_weights(
    checkpoint, examples, tmp_path, max_grad_norm
):
    ways = [
        train(
            trainer_of(checkpoint, examples, optimizer=way, dtype="float32",
                       max_grad_norm=max_grad_norm),
            tmp_path / way,
        )
        for way in ("adamw", "adamw_clip")
    ]  # fmt: skip
    assert all(row["grad_norm"] > 0.05 for row in ways[0].curve)
    same(*ways, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "changes",
    [{}, {"token_budget": 40}, {"l2sp": 0.5}, {"max_grad_norm": 0.0}, {"freeze": 1}],
    ids=["one micro-batch", "several", "L2-SP", "no clipping", "frozen"],
)
@pytest.mark.slow
def test_master_weights_give_the_same_updates(checkpoint, examples, tmp_path, changes):
    """What is rounded and summed is the same; a rate so low that nothing else can grow."""
    plain, masters = (
        train(trainer_of(checkpoint, examples, optimizer=way, lr=1e-4, **changes), tmp_path / way)
        for way in ("adamw", "adamw_masters")
    )
    assert masters.curve[0]["loss"] == plain.curve[0]["loss"]  # no update yet: the same bits
    same(plain, masters, rtol=1e-4, atol=2e-6)
    moved = [
        name
        for name, weight in load_model(checkpoint).named_parameters()
        if not torch.equal(weight, dict(masters.run.model.named_parameters())[name])
    ]
    assert len(moved) == len(masters.trained)


def test_gradients_of_rounded_layers_are_those_under_autocast(checkpoint, examples):
    plain, masters = (
        trainer_of(checkpoint, examples, optimizer=way) for way in ("adamw", "adamw_masters")
    )
    layers = masters.optimizer.masters.weights
    assert len(layers) == 7 * 2  # of each block; not embeddings, not norms
    assert {weight.dtype for weight in layers.values()} == {torch.bfloat16}
    for budget in (10_000, 40):
        losses = []
        for trainer in (plain, masters):
            trainer.optimizer.zero_grad()
            trainer.gradients.token_budget = budget
            losses.append(trainer.gradients.add_up(examples[:8], 1))
            trainer.optimizer.collect()
        assert losses[0] == losses[1]
        for name, weight in plain.trained.items():
            assert torch.equal(weight.grad, masters.trained[name].grad), name


@pytest.mark.slow
def test_a_run_with_masters_resumes_to_the_same_weights(checkpoint, examples, tmp_path):
    def fresh():
        return trainer_of(checkpoint, examples, optimizer="adamw_masters")

    undisturbed = train(fresh(), tmp_path / "a")
    stopped = fresh()
    update = stopped._update
    with StopRequest() as stop:

        def interrupt_at_three():
            stop.requested = stopped.step == 2
            return update()

        stopped._update = interrupt_at_three
        with pytest.raises(Interrupted):
            stopped.train(StateFolder(tmp_path / "b", "same"), stop)
    resumed = train(fresh(), tmp_path / "b")
    for name, weight in undisturbed.run.model.named_parameters():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, dict(resumed.run.model.named_parameters())[name]), name


@pytest.mark.slow
def test_adapters_have_masters_too(checkpoint, examples, tmp_path):
    def adapted(way):
        torch.manual_seed(0)
        model = load_model(checkpoint, attention=NAME)
        method = get_method("lora")
        model = method.prepare(model, LoraSettings(rank=2))
        method.lighten(model, torch.bfloat16)
        return train(trainer_of(checkpoint, examples, model, optimizer=way, lr=1e-4),
                     tmp_path / way)  # fmt: skip

    plain, masters = adapted("adamw"), adapted("adamw_masters")
    assert len(masters.trained) == len(masters.optimizer.masters.weights) == 2 * 7 * 2
    for name, weight in plain.trained.items():
        torch.testing.assert_close(masters.trained[name], weight, rtol=1e-4, atol=2e-6)


def test_without_bfloat16_there_are_no_masters(checkpoint, examples):
    trainer = trainer_of(checkpoint, examples, optimizer="adamw_masters", dtype="float32")
    assert trainer.optimizer.masters is None and trainer.optimizer.clips_inside


def test_one_step_is_that_of_torch():
    """Of the pass that is compiled, at an early and a late step."""
    torch.manual_seed(0)
    master, gradient = torch.randn(50), torch.randn(50).bfloat16()
    weight, first, second = torch.empty(50).bfloat16(), torch.randn(50), torch.rand(50)
    reference = torch.nn.Parameter(master.clone())
    adamw = torch.optim.AdamW([reference], lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    adamw.state[reference] = {
        "step": torch.tensor(6.0), "exp_avg": first.clone(), "exp_avg_sq": second.clone(),
    }  # fmt: skip
    reference.grad = gradient.float() / 4
    adamw.step()
    corrections = torch.tensor([1 - 0.8**7, (1 - 0.95**7) ** 0.5])
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
