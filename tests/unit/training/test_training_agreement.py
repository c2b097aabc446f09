"""Whether packed training is right for an architecture: against transformers, before any update."""

import numpy as np
import pytest
import torch
import transformers
from tiny import tiny_tokenizer

from ptft.training.agreement import NotTrainable, load_trainable
from ptft.training.examples import Example

CPU = torch.device("cpu")
USUAL = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=64, initializer_range=0.3,
)  # fmt: skip
SHORT = dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3)
LONGROPE = dict(
    rope_type="longrope", rope_theta=10000.0, factor=2.0, short_factor=[1.0] * 4,
    long_factor=[4.0] * 4, original_max_position_embeddings=16,
)  # fmt: skip
RIGHT = [
    ("LlamaConfig", USUAL),
    ("GPTNeoXConfig", USUAL),
    ("GPT2Config", SHORT | {"attn_pdrop": 0.0}),
]
REFUSED = [
    ("GPT2Config", SHORT | {"attn_pdrop": 0.1}, "attention_dropout=0.1 is not supported"),
    (
        "MistralConfig",
        USUAL | {"sliding_window": 8, "num_key_value_heads": 4},
        "losses differ by up to",
    ),
    (
        "Phi3Config",
        USUAL
        | dict(
            rope_parameters=LONGROPE, original_max_position_embeddings=16, num_key_value_heads=4
        ),
        "losses differ by up to",
    ),
    ("MambaConfig", dict(hidden_size=32, num_hidden_layers=2, state_size=8), ""),
    (
        "FalconConfig",
        dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=False),
        "",
    ),
]


def examples():
    rng = np.random.default_rng(0)
    made = []
    for number, length in enumerate((6, 9, 14, 40, 44, 48)):
        mask = np.zeros(length, bool)
        mask[length // 2 :] = True
        made.append(Example(str(number), rng.integers(3, 60, length), mask, False))
    return made


def save(folder, kind, options):
    torch.manual_seed(0)
    config = getattr(transformers, kind)(
        vocab_size=64, bos_token_id=0, eos_token_id=0, pad_token_id=1, **options
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("kind", "options"), RIGHT)
def test_what_packs_as_transformers_has_it_is_trained(tmp_path, kind, options):
    model = load_trainable(save(tmp_path, kind, options), examples(), CPU)
    assert type(model).__name__.startswith(kind.removesuffix("Config"))
    assert model.device == CPU and model.dtype == torch.float32


@pytest.mark.parametrize(("kind", "options", "reason"), REFUSED)
def test_what_does_not_is_refused_before_any_update(tmp_path, kind, options, reason):
    with pytest.raises(NotTrainable, match=f"can't train .*{reason}.* scored as they are"):
        load_trainable(save(tmp_path, kind, options), examples(), CPU)
