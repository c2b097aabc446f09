"""The packed loop against a plain one, and what stops a run."""

import numpy as np
import pytest
import torch
from plain_loop import plain_train
from tiny import TEMPLATE, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model
from ptft.training.devices import Devices
from ptft.training.examples import completion_examples, truncate
from ptft.training.gradients import TokenBudget
from ptft.training.loop import Run, Trainer
from ptft.training.packing import NAME
from ptft.training.settings import TrainingSettings
from ptft.training.state import Diverged, OutOfMemory, StateFolder, StopRequest

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def examples():
    """70 ragged examples of 5 to 22 tokens, cut from up to 24, with 1 to 12 learned tokens."""
    made = completion_examples(tiny_tokenizer(), tiny_rows(70, longest=20), TEMPLATE)
    for count, item in enumerate(made):
        learned = 2 + (10 if len(item.ids) > 22 else count % 3)
        item.loss_mask[max(1, len(item.ids) - learned) :] = True
    assert max(len(item.ids) for item in made) == 24
    return truncate(made, 22)[0]


def trainer_of(model, examples, seed=5, lr=3e-3, validation=(), **changes):
    settings = TrainingSettings(epochs=3, batch_size=8, lr=lr, **changes)
    return Trainer(Run(model, examples, list(validation), settings, seed, Devices(CPU)))


@pytest.mark.parametrize("weighting", ["example", "token"])
def test_packed_updates_equal_one_example_at_a_time(checkpoint, examples, weighting, tmp_path):
    reference = load_model(checkpoint)
    settings = TrainingSettings(epochs=3, batch_size=8, weighting=weighting)
    losses = plain_train(reference, examples, settings, 3e-3, 5, updates=27)
    for budget in (30, 10_000):
        model = load_model(checkpoint, attention=NAME)
        trainer = trainer_of(model, examples, weighting=weighting, token_budget=budget)
        with StopRequest() as stop:
            trainer.train(StateFolder(tmp_path, str(budget)), stop)
        assert trainer.steps == 27
        np.testing.assert_allclose([row["loss"] for row in trainer.curve], losses, rtol=1e-5)
        for (name, own), plain in zip(
            model.named_parameters(), reference.parameters(), strict=True
        ):
            assert (own - plain).norm() / plain.norm() < 1e-5, name


def test_nan_stops_with_step_examples_and_rate(checkpoint, examples, tmp_path):
    trainer = trainer_of(load_model(checkpoint, attention=NAME), examples[:8], lr=1e-3)
    with torch.no_grad():
        trainer.trained["model.embed_tokens.weight"][5] = float("nan")
    with StopRequest() as stop, pytest.raises(Diverged) as caught:
        trainer.train(StateFolder(tmp_path, "a"), stop)
    message = str(caught.value)
    assert "update 1 of 3" in message and "learning rate 0" in message and "t-4" in message
    assert not list(tmp_path.iterdir())


def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_else(
    checkpoint, examples, tmp_path, monkeypatch, caplog
):
    """Micro-batches above 40 tokens fail, as on a device of that size."""
    calm = trainer_of(load_model(checkpoint, attention=NAME), examples[:24], token_budget=500)
    tight = trainer_of(load_model(checkpoint, attention=NAME), examples[:24], token_budget=500)
    forward = tight.run.model.model.forward

    def small_device(input_ids, **inputs):
        if input_ids.shape[1] > 40 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids=input_ids, **inputs)

    monkeypatch.setattr(tight.run.model.model, "forward", small_device)
    with StopRequest() as stop:
        calm.train(StateFolder(tmp_path / "a", "a"), stop)
        tight.train(StateFolder(tmp_path / "b", "b"), stop)
    assert tight.gradients.budget.whole <= 40 and "micro-batches of" in caplog.text
    np.testing.assert_allclose(
        [row["loss"] for row in tight.curve], [row["loss"] for row in calm.curve], rtol=1e-5
    )


def full_in_training(trainer):
    """A forward pass that runs out of memory where it keeps something for gradients."""
    forward = trainer.run.model.model.forward

    def full(**inputs):
        if torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(**inputs)

    return full


def test_one_of_several_devices_that_is_full_leaves_a_limit_for_the_next_start(
    checkpoint, examples, tmp_path, monkeypatch
):
    """The others wait for its gradients, so it has to end; what starts again takes less."""
    calm = trainer_of(load_model(checkpoint, attention=NAME), examples[:24])
    first = trainer_of(load_model(checkpoint, attention=NAME), examples[:24], token_budget=60)
    second = trainer_of(load_model(checkpoint, attention=NAME), examples[:24], token_budget=60)
    # Its place among two; it fails before it would meet the other.
    first.run.devices = first.gradients.devices = Devices(torch.device("cpu"), rank=0, world=2)

    monkeypatch.setattr(first.run.model.model, "forward", full_in_training(first))
    state = StateFolder(tmp_path / "b", "b")
    with StopRequest() as stop:
        with pytest.raises(OutOfMemory, match="one of 2 devices with micro-batches of 55 tokens"):
            first.train(state, stop)
        assert state.token_limit() == 27
        assert StateFolder(tmp_path / "b", "another run").token_limit() is None
        second.train(state, stop)
        calm.train(StateFolder(tmp_path / "a", "a"), stop)
    assert second.gradients.budget == TokenBudget(27, 27)
    np.testing.assert_allclose(
        [row["loss"] for row in second.curve], [row["loss"] for row in calm.curve], rtol=1e-5
    )


def test_an_example_that_never_fits_is_named(checkpoint, examples, tmp_path, monkeypatch):
    trainer = trainer_of(load_model(checkpoint, attention=NAME), examples[:8])

    monkeypatch.setattr(trainer.run.model.model, "forward", full_in_training(trainer))
    with StopRequest() as stop, pytest.raises(OutOfMemory, match="longest example: t-"):
        trainer.train(StateFolder(tmp_path, "a"), stop)


def test_a_hopeless_loss_stops_the_run(checkpoint, examples, tmp_path):
    """Worse than twice an even guess over 64 tokens (4.16) for 20 updates."""
    trainer = trainer_of(load_model(checkpoint, attention=NAME), examples, lr=1e-9)
    with torch.no_grad():
        trainer.trained["model.embed_tokens.weight"].mul_(30)
    with StopRequest() as stop, pytest.raises(Diverged, match="at update 20 of 27: loss"):
        trainer.train(StateFolder(tmp_path, "a"), stop)
