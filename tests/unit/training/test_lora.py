"""LoRA: exact under packing, saved alone, merged on demand, refused where it fits nothing."""

import numpy as np
import pytest
import torch
from plain_loop import plain_train
from tiny import TEMPLATE, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model, load_tuned
from ptft.training.devices import Devices
from ptft.training.examples import completion_examples
from ptft.training.loop import Run, Trainer
from ptft.training.methods import LoraSettings, get_method
from ptft.training.packing import NAME
from ptft.training.state import StateFolder, StopRequest


def adapted(checkpoint, attention, settings):
    torch.manual_seed(3)
    return get_method("lora").prepare(load_model(checkpoint, attention=attention), settings)


@pytest.mark.parametrize("weighting", ["example", "token"])
def test_packed_lora_equals_one_example_at_a_time_and_merges(checkpoint, weighting, tmp_path):
    settings = LoraSettings(
        rank=4, alpha=8.0, epochs=2, batch_size=8, weighting=weighting, token_budget=60
    )
    examples = completion_examples(tiny_tokenizer(), tiny_rows(80, longest=20), TEMPLATE)
    packed, plain = (adapted(checkpoint, name, settings) for name in (NAME, "sdpa"))
    losses = plain_train(plain, examples, settings, 5e-3, 1, updates=20)
    trainer = Trainer(Run(packed, examples, [], settings, 5e-3, 1, Devices(torch.device("cpu"))))
    with StopRequest() as stop:
        trainer.train(StateFolder(tmp_path, "a"), stop)
    assert trainer.steps == 20
    np.testing.assert_allclose([row["loss"] for row in trainer.curve], losses, rtol=1e-5)
    trained = [p for p in plain.parameters() if p.requires_grad]
    for own, other in zip(trainer.trained.values(), trained, strict=True):
        assert (own - other).norm() / other.norm() < 1e-5

    folder = tmp_path / "adapter"
    get_method("lora").save(packed, folder, torch.bfloat16)
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    ids = torch.tensor([[11, 12, 13]])
    plain.eval()
    merged = load_tuned(folder)
    torch.testing.assert_close(merged(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="nowhere, which is absent"):
        load_tuned(folder, checkpoint=tmp_path / "nowhere")


def test_all_linear_layers_but_the_head_are_adapted_by_default(checkpoint):
    model = adapted(checkpoint, NAME, LoraSettings(rank=2))
    names = {name.split(".lora_")[0].split(".")[-1] for name, p in model.named_parameters()
             if p.requires_grad}  # fmt: skip
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def trained_in_bfloat16(model, settings, folder):
    """The curve and the adapter after some updates under autocast."""
    examples = completion_examples(tiny_tokenizer(), tiny_rows(40, longest=20), TEMPLATE)
    run = Run(model, examples, examples[:6], settings, 5e-3, 1, Devices(torch.device("cpu")))
    trainer = Trainer(run)
    with StopRequest() as stop:
        trainer.train(StateFolder(folder, "a"), stop)
    keys = ("loss", "grad_norm", "validation_loss", "validation_exact")
    curve = [[row.get(key) for key in keys] for row in trainer.curve]
    return curve, trainer.trained


def test_a_frozen_base_in_bfloat16_trains_the_same_adapter(checkpoint, tmp_path):
    settings = LoraSettings(
        rank=4, epochs=2, batch_size=8, token_budget=60, dtype="bfloat16", targets=[]
    )
    whole, light = (adapted(checkpoint, NAME, settings) for _ in range(2))
    get_method("lora").lighten(light, torch.bfloat16)
    kinds = {name: p.dtype for name, p in light.named_parameters()}
    for name, dtype in kinds.items():
        assert dtype == (torch.bfloat16 if "base_layer" in name else torch.float32), name
    assert sum(dtype == torch.bfloat16 for dtype in kinds.values()) == 14
    before, expected = trained_in_bfloat16(whole, settings, tmp_path / "whole")
    curve, found = trained_in_bfloat16(light, settings, tmp_path / "light")
    assert curve == before and len(curve) == 11
    assert found.keys() == expected.keys()
    for name, adapter in found.items():
        assert torch.equal(adapter, expected[name]), name


def test_a_tied_head_that_is_adapted_stays_in_float32(checkpoint):
    light = adapted(checkpoint, NAME, LoraSettings(rank=2, targets=["lm_head", "q_proj"]))
    get_method("lora").lighten(light, torch.bfloat16)
    names = {name.split(".")[-3] for name, p in light.named_parameters()
             if p.dtype == torch.bfloat16}  # fmt: skip
    assert names == {"q_proj"}


def test_targets_that_name_nothing_are_refused(checkpoint):
    with pytest.raises(ValueError, match=r"\['query'\] name no linear layer .*'q_proj'"):
        adapted(checkpoint, NAME, LoraSettings(targets=["q_proj", "query"]))


def test_rank_must_be_positive():
    with pytest.raises(ValueError, match="rank: found 0, expected 1 or more"):
        LoraSettings(rank=0)
