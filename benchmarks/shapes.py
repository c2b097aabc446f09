"""Models with random weights, of the shapes that are measured."""

from typing import Any

import torch
import transformers

from ptft.models.loading import avoid_cudnn_attention

SMALL = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8,
    "num_attention_heads": 4,
}  # fmt: skip
OLMO_1B = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 16,
}  # fmt: skip
PYTHIA_410M = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16,
}  # fmt: skip
TINY = {
    "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2,
    "num_attention_heads": 4,
}  # fmt: skip
VOCABULARY = 50304
EOS, PAD = 50279, 1


def made_up_model(
    kind: str, shape: dict, attention: str, device: torch.device, **changes: Any
) -> torch.nn.Module:
    """A model in float32, with the same weights at every call.

    Args:
        kind: an architecture of transformers, ``Olmo``, ``Llama`` or ``GPTNeoX``.
        changes: to the configuration.
    """
    avoid_cudnn_attention()
    torch.manual_seed(0)
    known = {
        "vocab_size": VOCABULARY, "max_position_embeddings": 4096, "bos_token_id": None,
        "eos_token_id": None, "pad_token_id": PAD, "tie_word_embeddings": kind == "Olmo",
        "attn_implementation": attention,
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(**(known | shape | changes))
    with device:  # made where it is used: a billion random numbers take a CPU long
        return getattr(transformers, f"{kind}ForCausalLM")(config)
