"""Native OLMo checkpoints: both ways, against a forward pass written from the native definition."""

import json

import pytest
import torch
import yaml
from safetensors.torch import save_file
from server import Repository
from tiny import save_tiny_checkpoint
from torch.nn import functional

from ptft.hub.check import check_checkpoint
from ptft.hub.client import HubError
from ptft.hub.fetch import fetch
from ptft.hub.native import convert, to_config, to_hub_weights
from ptft.hub.resolve import resolve_checkpoint
from ptft.models.loading import load_model

NATIVE = {
    "d_model": 32,
    "n_heads": 4,
    "n_layers": 2,
    "mlp_ratio": 4,
    "weight_tying": True,
    "max_sequence_length": 64,
    "vocab_size": 60,
    "embedding_size": 64,
    "activation_type": "swiglu",
    "layer_norm_type": "default",
    "layer_norm_with_affine": False,
    "include_bias": False,
    "rope": True,
    "alibi": False,
    "attention_layer_norm": False,
    "multi_query_attention": False,
    "eos_token_id": 5,
    "pad_token_id": 1,
}
RMS = {"layer_norm_type": "rms", "layer_norm_with_affine": True, "layer_norm_eps": 1e-6}
"""the norm of AI2's ladder of small models (DataDecide)"""
IDS = torch.arange(2, 42).reshape(2, 20)


def native_logits(weights: dict, native: dict, ids: torch.Tensor) -> torch.Tensor:
    """Logits as olmo/model.py defines them: fused projections, SwiGLU gated by its second half."""
    width, heads = native["d_model"], native["n_heads"]
    head, (rows, length) = width // heads, ids.shape
    kv = (native.get("n_kv_heads") or heads) * head

    def norm(x, name):
        if native["layer_norm_type"] == "default":
            return functional.layer_norm(x, (width,))
        mean = x.pow(2).mean(-1, keepdim=True)
        return weights[f"transformer.{name}.weight"] * x * torch.rsqrt(mean + 1e-6)

    def split(x):  # (B, T, n x head) -> (B, n, T, head)
        return x.view(rows, length, -1, head).transpose(1, 2)

    frequency = 1.0 / 10000 ** (torch.arange(0, head, 2).float() / head)
    angle = torch.arange(length).float()[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)  # (T, head)

    def rotate(x):
        first, second = x.chunk(2, dim=-1)
        return x * angle.cos() + torch.cat([-second, first], dim=-1) * angle.sin()

    hidden = weights["transformer.wte.weight"][ids]
    for layer in range(native["n_layers"]):
        block = f"transformer.blocks.{layer}."
        fused = norm(hidden, f"blocks.{layer}.attn_norm") @ weights[block + "att_proj.weight"].T
        query, key, value = map(split, fused.split([width, kv, kv], dim=-1))
        query, key = rotate(query), rotate(key)
        key, value = (x.repeat_interleave(width // kv, dim=1) for x in (key, value))
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        attended = attended.transpose(1, 2).reshape(rows, length, width)
        hidden = hidden + attended @ weights[block + "attn_out.weight"].T
        up, gate = (
            norm(hidden, f"blocks.{layer}.ff_norm") @ weights[block + "ff_proj.weight"].T
        ).chunk(2, dim=-1)
        hidden = hidden + (functional.silu(gate) * up) @ weights[block + "ff_out.weight"].T
    head_weight = weights.get("transformer.ff_out.weight", weights["transformer.wte.weight"])
    return norm(hidden, "ln_f") @ head_weight.T


def random_weights(native: dict) -> dict:
    torch.manual_seed(3)
    width, ff = native["d_model"], native["mlp_ratio"] * native["d_model"]
    kv = (native.get("n_kv_heads") or native["n_heads"]) * (width // native["n_heads"])
    weights = {"transformer.wte.weight": torch.randn(64, width) * 0.3}
    for layer in range(native["n_layers"]):
        block = f"transformer.blocks.{layer}."
        weights[block + "att_proj.weight"] = torch.randn(width + 2 * kv, width) * 0.3
        weights[block + "attn_out.weight"] = torch.randn(width, width) * 0.3
        weights[block + "ff_proj.weight"] = torch.randn(ff, width) * 0.3
        weights[block + "ff_out.weight"] = torch.randn(width, ff // 2) * 0.3
        if native["layer_norm_type"] == "rms":
            weights[block + "attn_norm.weight"] = 1 + torch.randn(width) * 0.3
            weights[block + "ff_norm.weight"] = 1 + torch.randn(width) * 0.3
    if native["layer_norm_type"] == "rms":
        weights["transformer.ln_f.weight"] = 1 + torch.randn(width) * 0.3
    if not native["weight_tying"]:
        weights["transformer.ff_out.weight"] = torch.randn(64, width) * 0.3
    return weights


def write_native(folder, native: dict, weights: dict):
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": native, "run_name": "x"}))
    torch.save(weights, folder / "model.pt")
    return folder


@pytest.fixture
def tokenizer(tmp_path):
    return save_tiny_checkpoint(tmp_path / "tokenizer")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_tying": False},
        {"n_kv_heads": 2},
        {"mlp_hidden_size": 128, "mlp_ratio": 4},
        RMS,
        {**RMS, "weight_tying": False, "rope_theta": 10000},
    ],
    ids=["tied", "untied", "grouped", "hidden size", "rms", "rms, untied"],
)
def test_a_converted_checkpoint_computes_what_the_native_one_does(tmp_path, tokenizer, changes):
    native = {**NATIVE, **changes}
    weights = random_weights(native)
    convert(write_native(tmp_path / "native", native, weights), tokenizer, tmp_path / "hub")
    with torch.no_grad():
        logits = load_model(tmp_path / "hub")(IDS).logits
    torch.testing.assert_close(logits, native_logits(weights, native, IDS), rtol=1e-5, atol=1e-5)
    assert logits.std() > 0.5


def test_the_end_of_text_of_early_checkpoints_is_mended():
    assert to_config({**NATIVE, "eos_token_id": 0}).eos_token_id == 50279
    assert to_config(NATIVE).eos_token_id == 5


def test_what_transformers_cannot_do_is_refused():
    with pytest.raises(HubError, match="include_bias is True, expected False"):
        to_config({**NATIVE, "include_bias": True})
    with pytest.raises(HubError, match="are 'rms', False, None, expected 'default' and False, or"):
        to_config({**NATIVE, "layer_norm_type": "rms"})


def test_weights_that_do_not_fit_are_named():
    weights = random_weights(NATIVE)
    del weights["transformer.blocks.1.ff_out.weight"]
    with pytest.raises(HubError, match="none is named 'transformer.blocks.1.ff_out.weight'"):
        to_hub_weights(weights, to_config(NATIVE))
    weights = {**random_weights(NATIVE), "transformer.ln_f.weight": torch.ones(32)}
    with pytest.raises(HubError, match="no known place: transformer.ln_f.weight"):
        to_hub_weights(weights, to_config(NATIVE))


def test_a_pickle_with_code_is_not_run(tmp_path, tokenizer):
    class Trap:
        def __reduce__(self):
            return (print, ("run",))

    folder = write_native(tmp_path / "native", NATIVE, {"transformer.wte.weight": Trap()})
    with pytest.raises(HubError, match="model.pt does not hold weights alone"):
        convert(folder, tokenizer, tmp_path / "hub")


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\3\4" + bytes(99)])
def test_what_is_no_native_checkpoint_is_refused(tmp_path, tokenizer, content):
    folder = write_native(tmp_path / "native", NATIVE, {})
    (folder / "model.pt").write_bytes(content)
    with pytest.raises(HubError, match="model.pt does not hold weights alone"):
        convert(folder, tokenizer, tmp_path / "hub")
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(HubError, match="config.yaml is not that of a native checkpoint"):
        convert(folder, tokenizer, tmp_path / "hub")


def test_a_sharded_checkpoint_is_refused(tmp_path, tokenizer):
    folder = write_native(tmp_path / "native", NATIVE, {})
    (folder / "model.pt").unlink()
    with pytest.raises(HubError, match="has no model.pt: an unsharded native checkpoint has both"):
        convert(folder, tokenizer, tmp_path / "hub")


@pytest.mark.parametrize("norm", [{}, RMS], ids=["OLMo", "DataDecide"])
def test_a_native_model_of_the_hub_is_converted_as_it_is_fetched(hub, tmp_path, tokenizer, norm):
    """Under ``hf_olmo``: a config.json of native settings, weights behind ``model.``."""
    native, folder = {**NATIVE, **norm}, tmp_path / "wrapped"
    folder.mkdir()
    weights = random_weights(native)
    settings = {**native, "model_type": "hf_olmo", "architectures": ["OLMoForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(settings))
    save_file(
        {f"model.{name}": weight for name, weight in weights.items()},
        folder / "model.safetensors",
    )
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    files |= {path.name: path.read_bytes() for path in tokenizer.glob("tokenizer*")}
    hub.models["org/native"] = Repository({"step5-seed-default": files})
    pattern = r"step(?P<step>\d+)-seed-default"
    pin = resolve_checkpoint({"repository": "org/native", "branches": pattern, "step": 5})
    target = tmp_path / "step5"
    fetch(pin, target, check_checkpoint)
    with torch.no_grad():
        logits = load_model(target)(IDS).logits
    torch.testing.assert_close(logits, native_logits(weights, native, IDS), rtol=1e-5, atol=1e-5)
    assert pin.differences(target) == {}
    asked = sum(hub.requests.values())
    fetch(pin, target, check_checkpoint)  # it is there
    assert sum(hub.requests.values()) == asked
    assert {path.name for path in tmp_path.iterdir()} == {"wrapped", "tokenizer", "step5"}
    (target / "model.safetensors").write_bytes(b"")
    assert pin.differences(target).keys() == {"model.safetensors"}
    fetch(pin, target, check_checkpoint)
    assert pin.differences(target) == {}
