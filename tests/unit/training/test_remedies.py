"""L2-SP, KL to the checkpoint, frozen blocks, early stopping: values, gradients, resumption."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from remedy_runs import assert_same_run, some_examples, stopped_and_resumed, trained, trainer_of

from ptft.models.loading import load_model
from ptft.training.devices import Devices, block_of
from ptft.training.losses import divergence
from ptft.training.methods import LoraSettings, OftSettings
from ptft.training.remedies import EarlyStopping, Objective, StartingPoint
from ptft.training.settings import Replay, TrainingSettings

OFT = {"kind": OftSettings, "method": "oft", "block_size": 8}
LORA = {"kind": LoraSettings, "method": "lora", "rank": 2}


def test_l2sp_by_hand():
    """0.5 / 2 x (3^2 + 4^2) = 6.25; its gradient 0.5 x (3, 4) is added to what is there."""
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    start = StartingPoint([weight], 0.5, Devices(torch.device("cpu")), sharded=False)
    weight.grad = torch.tensor([10.0, 20.0])
    assert start.add_gradient() == 0
    with torch.no_grad():
        weight += torch.tensor([3.0, 4.0])
    assert start.add_gradient().item() == 6.25
    assert weight.grad.tolist() == [11.5, 22.0]


def test_divergence_by_hand():
    """Of (1/2, 1/2) from (3/4, 1/4): ln(2/3) / 2 + ln 2 / 2; of equal ones 0."""
    base = torch.tensor([[0.0, 0.0], [1.0, 5.0]])
    model = torch.tensor([[math.log(3), 0.0], [2.0, 6.0]])
    expected = [0.5 * math.log(2 / 3) + 0.5 * math.log(2), 0.0]
    assert divergence(base, model).tolist() == pytest.approx(expected, abs=1e-7)


def test_dft_by_hand(monkeypatch):
    """A token of probability 1/4: ln 4 / 4, its gradient a quarter of that of the cross-entropy."""
    logits = torch.tensor([[0.0, math.log(3)]], requires_grad=True)
    monkeypatch.setattr("ptft.training.remedies.token_logits", lambda *_: logits)
    packed = SimpleNamespace(targets=torch.tensor([0]), weights=torch.ones(1), imitated=None)
    loss = Objective(TrainingSettings(loss="dft"))(None, packed)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4) / 4)
    assert logits.grad.tolist()[0] == pytest.approx([-0.75 / 4, 0.75 / 4])


def naive_loss(model, base, batch, settings, start):
    """The whole loss of a batch by stock transformers, an example at a time."""
    total = torch.zeros(())
    for item in batch:
        ids = torch.from_numpy(item.ids)[None]
        learned = torch.from_numpy(item.loss_mask[1:])
        found, expected = (each(input_ids=ids).logits[0, :-1][learned] for each in (model, base))
        found, expected = found.log_softmax(-1), expected.detach().log_softmax(-1)
        losses = -found.gather(1, ids[0, 1:][learned][:, None])[:, 0]
        if settings.loss == "dft":
            losses = (-losses).exp().detach() * losses
        apart = (expected.exp() * (expected - found)).sum(-1)
        losses = apart if item.imitated else losses + settings.kl * apart
        total = total + losses.mean() / len(batch)
    for name, weight in model.named_parameters():
        total = total + settings.l2sp / 2 * (weight - start[name]).square().sum()
    return total


@pytest.mark.parametrize(
    "remedy",
    [
        {"l2sp": 0.3},
        {"kl": 0.7},
        {"loss": "dft", "l2sp": 0.3, "kl": 0.7},
        {"replay": Replay(dataset="self", share=0.2, learn="distributions")},
    ],
)
def test_gradients_are_those_of_the_whole_loss(checkpoint, remedy):
    trainer = trainer_of(checkpoint, **remedy)
    model, base = load_model(checkpoint), load_model(checkpoint)
    start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    torch.manual_seed(1)
    with torch.no_grad():  # both are elsewhere than at the checkpoint
        for own, weight in zip(trainer.trained.values(), model.parameters(), strict=True):
            weight += 0.02 * torch.randn_like(weight)
            own.copy_(weight)
    batch = some_examples(8)
    if trainer.run.settings.replay:
        batch[2:4] = [replace(item, imitated=True) for item in batch[2:4]]
    loss = naive_loss(model, base, batch, trainer.run.settings, start)
    loss.backward()
    found = trainer.gradients.add_up(batch, 1)
    for penalty in trainer.penalties:
        found = found + penalty.add_gradient()
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)
    for (name, own), weight in zip(trainer.trained.items(), model.parameters(), strict=True):
        assert (own.grad - weight.grad).norm() < 1e-5 * weight.grad.norm(), name


@pytest.mark.parametrize(
    ("adapter", "under"),
    [({**LORA, "freeze": 1}, True), ({**LORA, "dora": True}, False), (OFT, False)],
)
def test_an_adapter_is_compared_with_the_checkpoint_under_or_beside_it(checkpoint, adapter, under):
    trainer = trainer_of(checkpoint, **adapter, kl=0.7)
    assert trainer.run.settings.keeps_base == under
    with torch.no_grad():
        for weight in trainer.trained.values():
            weight += 0.1
    batch = some_examples(8)
    found = trainer.gradients.add_up(batch, 1).item()
    model = trainer.run.model.merge_and_unload()
    model.set_attn_implementation("sdpa")
    start = dict(model.named_parameters())
    expected = naive_loss(model, load_model(checkpoint), batch, trainer.run.settings, start)
    assert found == pytest.approx(expected.item(), rel=1e-5)
    assert "freeze" not in adapter or {block_of(name) for name in trainer.trained} == {1}


@pytest.mark.parametrize("method", [{}, LORA])
def test_frozen_blocks_and_embeddings_stay_where_they_are(checkpoint, tmp_path, method):
    trainer = trained(lambda: trainer_of(checkpoint, **method, freeze=1), tmp_path)
    before = dict(trainer_of(checkpoint, **method).run.model.named_parameters())
    moved = {name for name, weight in trainer.run.model.named_parameters()
             if not torch.equal(weight, before[name])}  # fmt: skip
    assert moved == set(trainer.trained) and {block_of(name) for name in moved} == {1}


@pytest.mark.parametrize(
    "remedy", [{"l2sp": 0.1, "kl": 0.5, "freeze": 1}, {**LORA, "kl": 0.5, "freeze": 1}]
)
def test_a_run_with_remedies_resumes_to_the_same_weights(checkpoint, tmp_path, remedy):
    def make():
        return trainer_of(checkpoint, **remedy)

    undisturbed = trained(make, tmp_path / "a")
    assert_same_run(undisturbed, stopped_and_resumed(make, tmp_path / "b", after=3))


def test_waiting_is_counted_since_the_lowest():
    stopping = EarlyStopping(patience=2)
    losses = [3.0, 2.0, 2.0, 1.0, math.nan, 4.0]
    found = []
    for step, loss in enumerate(losses, start=1):
        found.append((stopping.measured(step, loss), stopping.over))
    assert found == [(True, False), (True, False), (False, False), (True, False),
                     (False, False), (False, True)]  # fmt: skip
    assert (stopping.lowest, stopping.step) == (1.0, 4)


def stopping_early(checkpoint, monkeypatch, **changes):
    """Runs whose validation loss is set: lowest after update 2, then two that are worse."""
    losses = {0: 9.0, 1: 5.0, 2: 4.0, 3: 4.5, 4: 4.5, 5: 1.0, 6: 1.0}

    def make():
        trainer = trainer_of(
            checkpoint, validation=some_examples(4, seed=7), validation_examples=4,
            validation_steps=[1, 2, 3, 4, 5], early_stopping=2, save_steps=3, **changes,
        )  # fmt: skip
        trainers.append(trainer)
        return trainer

    trainers = []
    monkeypatch.setattr("ptft.training.loop.validate", lambda *_: (losses[trainers[-1].step], 0.0))
    return make


def test_early_stopping_ends_and_keeps_the_best_weights(checkpoint, tmp_path, monkeypatch):
    stopped = trained(stopping_early(checkpoint, monkeypatch), tmp_path / "a")
    assert (stopped.step, stopped.steps, stopped.stopping.step) == (4, 6, 2)
    assert stopped.outcome["step"] == 2 and stopped.outcome["validation_loss"] == 4.0
    plain = trainer_of(checkpoint)
    for _ in range(2):
        plain.update()
    for name, weight in plain.trained.items():
        assert torch.equal(stopped.trained[name], weight), name


@pytest.mark.parametrize("after", [1, 2, 3])
def test_early_stopping_resumes_to_the_same_weights(checkpoint, tmp_path, monkeypatch, after):
    make = stopping_early(checkpoint, monkeypatch)
    undisturbed = trained(make, tmp_path / "a")
    resumed = stopped_and_resumed(make, tmp_path / "b", after=after)
    assert_same_run(undisturbed, resumed)
    assert sorted(file.name for file in (tmp_path / "b").glob("best*")) == ["best-2.pt"]
