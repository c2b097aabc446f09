"""From OLMo's native checkpoints to the Hub's layout, and back.

AI2 publishes all checkpoints of OLMo-1B as folders with ``config.yaml`` and ``model.pt``
(olmo-checkpoints.org), more than the Hub has as branches. Names and order of the fused matrices
are as in ``convert_olmo_weights_to_hf.py`` of transformers.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    PreTrainedConfig,
)

from ptft.hub.check import check_checkpoint
from ptft.hub.client import HubError
from ptft.models.folder import CONFIG, copy_tokenizer, read_json, weight_files
from ptft.models.loading import save_model

ROOT = "transformer."
WRAPPED = "model."
"""in front of the names of weights under ``hf_olmo``"""
ENDOFTEXT = 50279
# Settings of the native format that transformers can't express otherwise than so.
REQUIRED = {
    "activation_type": "swiglu",
    "include_bias": False,
    "rope": True,
    "alibi": False,
    "attention_layer_norm": False,
    "norm_after": False,
}


def to_config(native: Mapping) -> OlmoConfig | LlamaConfig:
    """The architecture of a native configuration (the part ``model`` of its ``config.yaml``).

    With a norm that has no weights it is transformers' OLMo (OLMo-1); with RMSNorm it is Llama's
    (DataDecide's and other models of AI2's ladder).

    Raises:
        HubError: transformers has no such model.
    """
    for key, expected in REQUIRED.items():
        found = native.get(key, expected)
        if found != expected:
            raise HubError(f"the native configuration: {key} is {found!r}, expected {expected!r}")
    width, heads = native["d_model"], native["n_heads"]
    hidden = native.get("mlp_hidden_size") or native["mlp_ratio"] * width
    shared = {
        "vocab_size": native.get("embedding_size") or native["vocab_size"],
        "hidden_size": width,
        "intermediate_size": hidden // 2,  # of gate and up together
        "num_hidden_layers": native["n_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": native.get("n_kv_heads")
        or (1 if native.get("multi_query_attention") else heads),
        "max_position_embeddings": native["max_sequence_length"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(native.get("rope_theta", 1e4)),
        },
        "tie_word_embeddings": native["weight_tying"],
        # Early checkpoints name token 0 by mistake; texts end with <|endoftext|>.
        "eos_token_id": native["eos_token_id"] or ENDOFTEXT,
        "pad_token_id": native.get("pad_token_id"),
        "bos_token_id": None,
    }
    norm = native.get("layer_norm_type", "default"), native.get("layer_norm_with_affine", True)
    if norm == ("default", False):
        return OlmoConfig(clip_qkv=native.get("clip_qkv"), **shared)
    if norm == ("rms", True) and native.get("clip_qkv") is None:
        return LlamaConfig(rms_norm_eps=native.get("layer_norm_eps", 1e-5), **shared)
    raise HubError(
        "the native configuration: layer_norm_type, layer_norm_with_affine and clip_qkv are "
        f"{norm[0]!r}, {norm[1]!r}, {native.get('clip_qkv')!r}, expected 'default' and False, or "
        "'rms', True and no clip_qkv"
    )


def to_hub_weights(native: Mapping[str, torch.Tensor], config: PreTrainedConfig) -> dict:
    """Weights under transformers' names, with query, key and value split, and gate and up.

    Raises:
        HubError: a weight is missing or left over.
    """
    left = {name.removeprefix(WRAPPED): weight for name, weight in native.items()}

    def take(name: str) -> torch.Tensor:
        if ROOT + name not in left:
            raise HubError(f"the native weights: none is named {ROOT + name!r}; is it an OLMo-1?")
        return left.pop(ROOT + name)

    head = config.hidden_size // config.num_attention_heads
    pair = config.num_key_value_heads * head
    weights = {"model.embed_tokens.weight": take("wte.weight")}
    for layer in range(config.num_hidden_layers):
        source, target = f"blocks.{layer}.", f"model.layers.{layer}."
        query, key, value = take(source + "att_proj.weight").split([config.hidden_size, pair, pair])
        # The native SwiGLU splits into (up, gate): its second half goes through the activation.
        up, gate = take(source + "ff_proj.weight").chunk(2)
        weights |= {
            target + "self_attn.q_proj.weight": query,
            target + "self_attn.k_proj.weight": key,
            target + "self_attn.v_proj.weight": value,
            target + "self_attn.o_proj.weight": take(source + "attn_out.weight"),
            target + "mlp.gate_proj.weight": gate,
            target + "mlp.up_proj.weight": up,
            target + "mlp.down_proj.weight": take(source + "ff_out.weight"),
        }
        if isinstance(config, LlamaConfig):
            weights[target + "input_layernorm.weight"] = take(source + "attn_norm.weight")
            weights[target + "post_attention_layernorm.weight"] = take(source + "ff_norm.weight")
    if isinstance(config, LlamaConfig):
        weights["model.norm.weight"] = take("ln_f.weight")
    if not config.tie_word_embeddings:
        weights["lm_head.weight"] = take("ff_out.weight")
    if left:
        raise HubError(f"the native weights: of no known place: {', '.join(sorted(left)[:5])}")
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def convert(source: Path, tokenizer: Path, output: Path) -> None:
    """Write a native checkpoint folder in the Hub's layout.

    Args:
        source: folder with ``config.yaml`` and ``model.pt`` (unsharded), or with a config.json of
            the type ``hf_olmo`` and weights.
        tokenizer: a model folder in the Hub's layout; the native format has no tokenizer.
        output: new folder.

    Raises:
        HubError: a file is missing, or the checkpoint is of an architecture that transformers has
            no model for.
    """
    wrapped = (source / CONFIG).is_file()
    if not wrapped:
        for name in ("config.yaml", "model.pt"):
            if not (source / name).is_file():
                raise HubError(f"{source} has no {name}: an unsharded native checkpoint has both")
    settings = source / (CONFIG if wrapped else "config.yaml")
    try:
        config = to_config(
            read_json(settings) if wrapped else yaml.safe_load(settings.read_text())["model"]
        )
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise HubError(
            f"{settings} is not that of a native checkpoint: {type(error).__name__}: {error}"
        ) from error
    native: dict[str, torch.Tensor] = {}
    for file in weight_files(source) if wrapped else [source / "model.pt"]:
        native |= _weights(file)
    kind = LlamaForCausalLM if isinstance(config, LlamaConfig) else OlmoForCausalLM
    with torch.device("meta"):
        model = kind(config)
    model.load_state_dict(to_hub_weights(native, config), strict=False, assign=True)
    model.tie_weights()
    save_model(model, output, model.dtype)
    copy_tokenizer(tokenizer, output)
    check_checkpoint(output)


def _weights(file: Path) -> dict[str, torch.Tensor]:
    if file.suffix == ".safetensors":
        return load_file(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise HubError(
            f"{file.parent}: {file.name} does not hold weights alone: {reason}"
        ) from error
