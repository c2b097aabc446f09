"""Short runs of a tiny model, for tests of what is added to training; stopped halfway or not."""

import pytest
import torch
from tiny import TEMPLATE, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model
from ptft.training.devices import Devices, works_in_bfloat16
from ptft.training.examples import completion_examples
from ptft.training.loop import Run, Trainer
from ptft.training.methods import get_method
from ptft.training.packing import NAME
from ptft.training.remedies import Reference, freeze
from ptft.training.settings import TrainingSettings
from ptft.training.state import Interrupted, StateFolder, StopRequest
from ptft.training.updates import PLAIN


def some_examples(count=20, seed=0):
    return completion_examples(tiny_tokenizer(), tiny_rows(count, longest=8, seed=seed), TEMPLATE)


def trainer_of(
    checkpoint, kind=TrainingSettings, method="full", replayed=None, validation=(), examples=None,
    model=None, way=PLAIN, **changes,
):  # fmt: skip
    """A trainer of the checkpoint or a model; of 20 examples, if not given, in batches of 8."""
    changes = {"epochs": 2, "batch_size": 8, "token_budget": 40, "lr": 3e-3} | changes
    settings, device = kind(**changes), torch.device("cpu")
    torch.manual_seed(3)
    chosen = get_method(method)
    model = chosen.prepare(model or load_model(checkpoint, attention=NAME), settings)
    if works_in_bfloat16(settings.dtype, device):
        chosen.lighten(model, torch.bfloat16)
    freeze(model, settings.freeze)
    base = None
    if settings.needs_base and settings.keeps_base:
        base = Reference(model, lambda: chosen.as_base(model))
    elif settings.needs_base:
        base = Reference(load_model(checkpoint, attention=NAME).requires_grad_(False))
    examples = examples or some_examples()
    return Trainer(
        Run(
            model,
            examples,
            validation,
            settings,
            5,
            Devices(device),
            replayed,
            base,
            way,
        )  # fmt: skip
    )


def trained(make, folder):
    """A trainer that has run to its end undisturbed."""
    trainer = make()
    trainer.train(StateFolder(folder, "same"), StopRequest())
    return trainer


def stopped_and_resumed(make, folder, after):
    """A trainer that was stopped after some updates, and resumed by another."""
    stopped, stop = make(), StopRequest()
    update = stopped.update

    def update_and_stop():
        update()
        stop.requested = stopped.step == after

    stopped.update = update_and_stop
    with pytest.raises(Interrupted):
        stopped.train(StateFolder(folder, "same"), stop)
    return trained(make, folder)


def assert_same_run(one, other):
    curves = [[{**row, "seconds": 0} for row in each.curve] for each in (one, other)]
    assert curves[0] == curves[1]
    for name, weight in one.run.model.named_parameters():
        assert torch.equal(weight, dict(other.run.model.named_parameters())[name]), name
