"""Adapters: exact under packing, saved alone, merged on demand, refused where it fits nothing."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, OFTConfig, get_peft_model
from plain_loop import plain_train
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model, load_tuned
from ptft.training.devices import Devices
from ptft.training.examples import completion_examples
from ptft.training.loop import Run, Trainer
from ptft.training.methods import LoraSettings, OftSettings, get_method
from ptft.training.packing import NAME
from ptft.training.state import StateFolder, StopRequest


def adapted(checkpoint, attention, settings):
    torch.manual_seed(3)
    return get_method("lora").prepare(load_model(checkpoint, attention=attention), settings)


LORA = {"r": 4, "lora_alpha": 8}
CASES = [
    (LoraSettings(weighting="token", rank=4, alpha=8.0), LoraConfig(**LORA)),
    (LoraSettings(rank=4, alpha=8.0), LoraConfig(**LORA)),
    (LoraSettings(rank=4, alpha=8.0, rslora=True), LoraConfig(**LORA, use_rslora=True)),
    (LoraSettings(rank=4, alpha=8.0, dora=True), LoraConfig(**LORA, use_dora=True)),
    (OftSettings(block_size=8), OFTConfig(oft_block_size=8)),
]


@pytest.mark.parametrize(("settings", "config"), CASES)
def test_packed_adapters_equal_pefts_one_example_at_a_time_and_merge(
    checkpoint, settings, config, tmp_path
):
    """Trained by hand: peft's own adapter, put on by peft itself, on the model without packing."""
    settings = replace(settings, epochs=1, batch_size=8, token_budget=60, lr=5e-3)
    method = get_method("oft" if isinstance(settings, OftSettings) else "lora")
    torch.manual_seed(3)
    packed = method.prepare(load_model(checkpoint, attention=NAME), settings)
    torch.manual_seed(3)
    config.target_modules = "all-linear"
    plain = get_peft_model(load_model(checkpoint, attention="sdpa"), config)
    examples = completion_examples(tiny_tokenizer(), tiny_rows(80, longest=20), TEMPLATE)
    losses = plain_train(plain, examples, settings, 5e-3, 1, updates=10)
    trainer = Trainer(Run(packed, examples, [], settings, 1, Devices(torch.device("cpu"))))
    with StopRequest() as stop:
        trainer.train(StateFolder(tmp_path, "a"), stop)
    assert trainer.steps == 10 and not trainer.optimizer.adamw.state  # its moments are given back
    np.testing.assert_allclose([row["loss"] for row in trainer.curve], losses, rtol=1e-5)
    trained = [p for p in plain.parameters() if p.requires_grad]
    for own, other in zip(trainer.trained.values(), trained, strict=True):
        assert (own - other).norm() / other.norm() < 1e-5

    folder = tmp_path / "adapter"
    method.save(packed, folder, torch.bfloat16)
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    ids = torch.tensor([[11, 12, 13]])
    plain.eval()
    merged = load_tuned(folder)
    torch.testing.assert_close(merged(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-5)
    assert (merged(ids).logits - load_model(checkpoint)(ids).logits).abs().max() > 0.01
    with pytest.raises(ValueError, match="nowhere, which is absent"):
        load_tuned(folder, checkpoint=tmp_path / "nowhere")


def trained_in_bfloat16(model, settings, folder):
    """The curve and the adapter after some updates under autocast."""
    examples = completion_examples(tiny_tokenizer(), tiny_rows(40, longest=20), TEMPLATE)
    run = Run(model, examples, examples[:6], settings, 1, Devices(torch.device("cpu")))
    trainer = Trainer(run)
    with StopRequest() as stop:
        trainer.train(StateFolder(folder, "a"), stop)
    keys = ("loss", "grad_norm", "validation_loss", "validation_exact")
    curve = [[row.get(key) for key in keys] for row in trainer.curve]
    return curve, trainer.trained


@pytest.mark.parametrize(
    ("method", "settings"), [("lora", LoraSettings(rank=4)), ("oft", OftSettings(block_size=8))]
)
def test_a_frozen_base_in_bfloat16_trains_the_same_adapter(checkpoint, method, settings, tmp_path):
    settings = replace(settings, epochs=2, batch_size=8, token_budget=60, dtype="bfloat16", lr=5e-3)
    torch.manual_seed(3)
    whole = get_method(method).prepare(load_model(checkpoint, attention=NAME), settings)
    torch.manual_seed(3)
    light = get_method(method).prepare(load_model(checkpoint, attention=NAME), settings)
    get_method(method).lighten(light, torch.bfloat16)
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


def test_dora_keeps_the_matrices_whose_lengths_it_takes(checkpoint):
    model = adapted(checkpoint, NAME, LoraSettings(rank=2, dora=True))
    get_method("lora").lighten(model, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_tied_head_that_is_adapted_stays_in_float32(checkpoint):
    light = adapted(checkpoint, NAME, LoraSettings(rank=2, targets=["lm_head", "q_proj"]))
    get_method("lora").lighten(light, torch.bfloat16)
    names = {name.split(".")[-3] for name, p in light.named_parameters()
             if p.dtype == torch.bfloat16}  # fmt: skip
    assert names == {"q_proj"}


def test_targets_that_name_nothing_are_refused(checkpoint):
    with pytest.raises(ValueError, match=r"\['query'\] name no linear layer .*'q_proj'"):
        adapted(checkpoint, NAME, LoraSettings(targets=["q_proj", "query"]))


def test_qlora_is_lora_on_rounded_matrices(tmp_path):
    """By hand: matrices rounded to NF4 and back in float32, and peft's LoRA on them."""
    functional = pytest.importorskip("bitsandbytes.functional", reason="needs bitsandbytes")
    wide = {"hidden_size": 64, "intermediate_size": 128}  # entries are rounded in blocks of 64
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint", **wide)
    settings = LoraSettings(rank=4, alpha=8.0, epochs=1, batch_size=8, quantize=True)
    examples = completion_examples(tiny_tokenizer(), tiny_rows(16, longest=9), TEMPLATE)
    whole, rounded = (load_model(checkpoint, attention="sdpa") for _ in range(2))
    for part in rounded.model.layers.modules():
        if isinstance(part, torch.nn.Linear):
            small, state = functional.quantize_4bit(part.weight.data, quant_type="nf4")
            part.weight.data = functional.dequantize_4bit(small, state)

    def by_peft(model):
        torch.manual_seed(3)
        model = get_peft_model(model, LoraConfig(**LORA, target_modules="all-linear"))
        plain_train(model, examples, settings, 5e-3, 1, updates=2)
        return torch.cat([p.flatten() for p in model.parameters() if p.requires_grad])

    packed = adapted(checkpoint, NAME, settings).to("cpu")
    sizes = {p.dtype for name, p in packed.named_parameters() if "base_layer" in name}
    assert sizes == {torch.uint8}
    trainer = Trainer(Run(packed, examples, [], settings, 1, Devices(torch.device("cpu"))))
    start = torch.cat([p.detach().flatten() for p in trainer.trained.values()])
    for _ in range(2):
        trainer.update()
    found = torch.cat([p.detach().flatten() for p in trainer.trained.values()])
    near, far = ((found - by_peft(model)).norm() for model in (rounded, whole))
    moved = (found - start).norm()
    # Gradients through 4 bits are of less precision, which Adam shows where they are near 0.
    assert near < 0.05 * moved and far > 0.2 * moved


def test_without_bitsandbytes_qlora_is_refused(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn", None)
    with pytest.raises(ValueError, match="quantize: bitsandbytes does not load here"):
        adapted(checkpoint, NAME, LoraSettings(quantize=True))
    with pytest.raises(ValueError, match="sharding: found 'full', expected data"):
        LoraSettings(quantize=True, sharding="full")


def test_blocks_of_a_rotation_divide_the_inputs(checkpoint):
    """peft would take other blocks than those asked for; 24 does not divide 32."""
    method, model = get_method("oft"), load_model(checkpoint, attention=NAME)
    with pytest.raises(ValueError, match="block_size: found '24 for the 32 inputs of model.layers"):
        method.prepare(model, OftSettings(block_size=24))
    wide = [name for name, part in method.prepare(
        model, OftSettings(block_size=64, targets=["down_proj"])
    ).named_parameters() if part.requires_grad]  # fmt: skip
    assert len(wide) == 2 and all("down_proj" in name for name in wide)
