"""Derived weights: against hand-computed ones and peft's; a third derivation is one class."""

import pytest
import torch
from tiny import save_tiny_checkpoint

from ptft.models.derive import DERIVATIONS, Parent, draw, summary
from ptft.models.loading import load_model, load_tuned
from ptft.models.merging import get_derivation


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """With biases, so that there are vectors among the weights."""
    folder = tmp_path_factory.mktemp("derive") / "checkpoint"
    return save_tiny_checkpoint(folder, attention_bias=True)


@pytest.fixture(scope="module")
def tuned(checkpoint):
    """The checkpoint with all of its weights moved."""
    model = load_model(checkpoint)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    folder = checkpoint.parent / "tuned"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(checkpoint):
    """An adapter of the checkpoint that does something: peft's own begin at zero."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(2)
    config = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", init_lora_weights=False)
    folder = checkpoint.parent / "adapter"
    get_peft_model(load_model(checkpoint), config).save_pretrained(folder)
    return folder


def derived(name, parent, strength, seed=0):
    return get_derivation(name).weights(parent, strength, seed)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_interpolation_of_whole_weights(checkpoint, tuned):
    parent = Parent(tuned, checkpoint)
    start, end = (dict(load_model(folder).named_parameters()) for folder in (checkpoint, tuned))
    half = derived("interpolate", parent, 0.25)
    for name, weight in half.items():
        assert torch.equal(weight, 0.75 * start[name] + 0.25 * end[name])
    beyond = derived("interpolate", parent, 1.5)
    name = "model.layers.0.mlp.up_proj.weight"
    torch.testing.assert_close(beyond[name] - end[name], (end[name] - start[name]) / 2)
    assert same(derived("interpolate", parent, 0.0), start)
    assert same(derived("interpolate", parent, 1.0), end)


@pytest.mark.slow
def test_interpolation_of_an_adapter_is_pefts_scaling(checkpoint, adapter):
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    parent = Parent(adapter, checkpoint)
    start, end = load_model(checkpoint), load_tuned(adapter, checkpoint)
    assert same(derived("interpolate", parent, 0.0), dict(start.named_parameters()))
    assert same(derived("interpolate", parent, 1.0), dict(end.named_parameters()))
    scaled = PeftModel.from_pretrained(load_model(checkpoint), adapter).eval()
    for layer in scaled.modules():
        if isinstance(layer, LoraLayer):
            layer.set_scale("default", 0.4)  # times alpha / rank
    merged = load_model(checkpoint).eval()
    merged.load_state_dict(derived("interpolate", parent, 0.4), strict=False)
    ids = torch.arange(3, 20).unsqueeze(0)
    with torch.inference_mode():
        expected, unscaled = scaled(ids).logits, load_model(checkpoint)(ids).logits
        torch.testing.assert_close(merged(ids).logits, expected, atol=1e-5, rtol=1e-5)
    assert (expected - unscaled).abs().max() > 0.1


def test_noise_is_in_proportion_to_each_matrix(checkpoint):
    parent = Parent(checkpoint, checkpoint)
    own = parent.weights
    few, many = (derived("noise", parent, strength) for strength in (0.01, 0.03))
    assert few.keys() == own.keys()
    kinds = {weight.ndim for weight in own.values()}
    assert kinds == {1, 2}
    for name, weight in own.items():
        if weight.ndim < 2:
            assert torch.equal(few[name], weight)
            continue
        noise = few[name] - weight
        # The standard error of a standard deviation of n draws is 1 / sqrt(2 n) of it.
        assert noise.std() / weight.std() == pytest.approx(0.01, rel=4 / (2 * noise.numel()) ** 0.5)
        torch.testing.assert_close(many[name] - weight, 3 * noise, atol=1e-6, rtol=1e-3)


def test_noise_follows_from_name_and_seed_alone():
    shape = torch.Size([64, 8])
    torch.manual_seed(3)
    first = draw("a", shape, 0)
    torch.manual_seed(4)
    torch.randn(5)
    assert torch.equal(draw("a", shape, 0), first)
    assert not torch.equal(draw("b", shape, 0), first)
    assert not torch.equal(draw("a", shape, 1), first)
    # Of 2^64 seeds these are fixed: a process with another hash of strings draws the same.
    begin = 0x5F1AA0C8DAD9DC73  # of `printf '0\\0a' | sha256sum`
    generator = torch.Generator().manual_seed(begin)
    assert torch.equal(torch.randn(shape, generator=generator), first)


def test_strengths_that_can_be():
    takes = {name: derivation().takes for name, derivation in DERIVATIONS.items()}
    asked = (-0.1, 0, 0.003, 1, 1.5, 1.6)
    assert [takes["interpolate"](a) for a in asked] == [False, True, True, True, True, False]
    assert [takes["noise"](a) for a in asked] == [False, False, True, True, True, True]
    assert summary(DERIVATIONS["noise"]).startswith("Each entry of a matrix W moves by")
    with pytest.raises(ValueError, match="found 'no', expected one of"):
        get_derivation("no")
