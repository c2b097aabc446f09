"""A tiny OLMo checkpoint with a word tokenizer, for tests of training and methods."""

import json
import random
from pathlib import Path

WORDS = [f"w{number}" for number in range(40)]
LABELS = ["yes", "no", "maybe"]


def tiny_config(**changes):
    """Configuration of an OLMo of two layers and 64 positions."""
    from transformers import OlmoConfig

    return OlmoConfig(
        **{
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "tie_word_embeddings": True,
            "eos_token_id": 0,
            "pad_token_id": 1,
            "bos_token_id": None,
            "initializer_range": 0.1,
        }
        | changes
    )


def tiny_tokenizer():
    """Whole words, ``<eos>`` 0, ``<pad>`` 1, unknown words 2."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<eos>", "<pad>", "<unk>", "#", ":", "?", "<user>", "<bot>", *LABELS, *WORDS]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def save_tiny_checkpoint(folder: Path, **changes) -> Path:
    """Write a checkpoint with random weights, the same at every call."""
    import torch
    from transformers import OlmoForCausalLM

    torch.manual_seed(7)
    OlmoForCausalLM(tiny_config(**changes)).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def tiny_rows(count: int, longest: int = 30, seed: int = 0) -> list[dict]:
    """Classification rows of ragged length: the label follows from the first word."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        words = rng.choices(WORDS, k=rng.randint(1, longest))
        gold = LABELS[WORDS.index(words[0]) % len(LABELS)]
        rows.append(
            {"example_id": f"t-{number}", "fields": {"text": " ".join(words)}, "gold": gold}
        )
    return rows


def write_rows(rows: list[dict], path: Path) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


TEMPLATE = "# {text} ? "


def tiny_model(architecture, **changes):
    """A model with random weights: olmo, llama_grouped or gpt_neox."""
    import torch
    from transformers import (
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        OlmoForCausalLM,
    )

    torch.manual_seed(0)
    if architecture == "olmo":
        return OlmoForCausalLM(tiny_config(**changes))
    shape = {
        "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "initializer_range": 0.1,
    } | changes  # fmt: skip
    if architecture == "llama_grouped":
        return LlamaForCausalLM(LlamaConfig(**shape, num_key_value_heads=2))
    # Pythia's; dropout off, as its checkpoints have it
    return GPTNeoXForCausalLM(GPTNeoXConfig(**shape, attention_dropout=0.0, hidden_dropout=0.0))
