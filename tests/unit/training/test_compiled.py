"""Compiled layers compute what the others do."""

import pytest
import torch
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model
from ptft.training.attention import NAME
from ptft.training.devices import Devices
from ptft.training.examples import completion_examples
from ptft.training.loop import Trainer
from ptft.training.run import Run
from ptft.training.settings import TrainingSettings


@pytest.mark.slow
def test_compiled_layers_give_the_same_updates(tmp_path, monkeypatch):
    """On a CPU in float32, batches of other lengths included; and they are kept where jobs say."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint", num_hidden_layers=1)
    examples = completion_examples(tiny_tokenizer(), tiny_rows(8, longest=12), TEMPLATE)
    trainers = []
    for compiled in (False, True):
        settings = TrainingSettings(epochs=1, batch_size=4, lr=1e-2, compile=compiled)
        run = Run(load_model(checkpoint, attention=NAME), examples, [], settings, 1e-2, 0,
                  Devices(torch.device("cpu")))  # fmt: skip
        trainer = Trainer(run)
        trainer.model.train()
        for _ in range(trainer.steps):
            trainer._update()
            trainer.readings.read()
        trainers.append(trainer)
    eager, compiled = trainers
    assert any((tmp_path / "compiled").rglob("*"))
    for one, other in zip(eager.curve, compiled.curve, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-5)
    for name, weight in eager.trained.items():
        torch.testing.assert_close(compiled.trained[name], weight, rtol=1e-4, atol=1e-6, msg=name)
