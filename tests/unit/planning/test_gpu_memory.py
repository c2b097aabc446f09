"""Memory of jobs on a GPU: hand numbers, real models on a CPU, the table of the guide."""

import pytest
import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
)

from ptft.planning import estimates
from ptft.planning.gpus import GB, GpuMemory
from ptft.study import named_study
from ptft.study.models import Shape
from ptft.training import gradients
from ptft.training.packing import NAME, sequence_layout

# Blocks of (1000 - 2 x 10 x 10) / 2 = 400 weights: attention 300, an inner layer of 2 x 50.
SHAPE = Shape(
    num_hidden_layers=2, hidden_size=10, intermediate_size=5, num_attention_heads=2,
    num_key_value_heads=1, vocab_size=10, tie_word_embeddings=False,
)  # fmt: skip
SAVED = 2 * (18 * 10 + 4 * 5)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig),
    "olmo": (OlmoForCausalLM, OlmoConfig),
    "neox": (GPTNeoXForCausalLM, GPTNeoXConfig),
}


def test_training_by_hand():
    memory = GpuMemory(1000, SHAPE)
    # Weights and two moments; then gradients, or all but the embedding (100) in bfloat16 with
    # activations: whichever is more. Several devices send copies of gradients.
    assert memory.training(1, False, 7) == 12 * 1000 + 2 * 900 + 7 * SAVED
    assert memory.training(1, False, 1) == 12 * 1000 + 4 * 1000
    assert memory.training(4, False, 7) == 16 * 1000 + 2 * 900 + 7 * SAVED
    # A quarter; a block: two gathered, a gradient (4 + 6); outside: gathered, a gradient (4 + 4).
    assert memory.training(4, True, 7) == 4 * 1000 + 10 * 400 + 8 * 200 + 7 * SAVED
    assert memory.training(1, True, 7) == memory.training(1, False, 7)
    # Blocks (800) in bfloat16; what is around them in float32, its output layer (100) twice.
    adapter = memory.adapter(rank=3)  # each of two blocks: 4 x 10 + 2 x 15 + 2 x 15
    assert adapter == 3 * 2 * 100
    around = 2 * 800 + 4 * 200 + 2 * 100
    assert memory.training(1, False, 0, adapter) == around + 16 * adapter
    assert memory.training(1, False, 99, adapter) == pytest.approx(
        around + 12 * adapter + 1.06 * 99 * SAVED
    )
    assert GpuMemory(1000).training(4, True, 7) == 4 * 1000


def test_scoring_by_hand():
    keys = 2 * 2 * 2 * 5  # bytes x keys and values x layers x width
    batch = 2 * (12 * 10 + 3 * 5)
    assert GpuMemory(1000, SHAPE).scoring(3) == 2000 + 3 * (keys + batch)
    assert GpuMemory(1000, SHAPE).scoring(3, generating=False) == 2000 + 3 * (keys / 2 + batch)
    assert GpuMemory(1000, SHAPE).scoring(0, copies=2) == 4000
    assert GpuMemory(1000).scoring(3) == 2000


def real_model(kind, layers=2, tied=False):
    """A small model, and what is computed of one of its shape."""
    sizes = {
        "num_hidden_layers": layers, "hidden_size": 256, "intermediate_size": 896,
        "num_attention_heads": 8, "vocab_size": 97, "tie_word_embeddings": tied,
    }  # fmt: skip
    keys = 8 if kind == "neox" else 4
    model_type, config = MODELS[kind]
    own = {} if kind == "neox" else {"num_key_value_heads": keys}
    model = model_type(config(**sizes, **own, attn_implementation=NAME, eos_token_id=0))
    weights = sum(parameter.numel() for parameter in model.parameters())
    return model, GpuMemory(weights, Shape(**sizes, num_key_value_heads=keys))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", MODELS)
def test_blocks_and_what_is_outside_are_those_of_real_models(kind, tied):
    model, memory = real_model(kind, tied=tied)
    (block,) = {
        sum(parameter.numel() for parameter in part.parameters())
        for part in model.modules()
        if type(part).__name__ in model._no_split_modules
    }
    assert memory.block == pytest.approx(block, rel=0.001)  # but for the last norm
    assert memory.shape.outside == pytest.approx(memory.weights - 2 * block, rel=0.03)


def saved_bytes(model, tokens):
    """Bytes that a packed forward pass in bfloat16 saves beside the weights and their copies."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(p.shape) for p in model.parameters() if p.ndim == 2}
    shapes |= {shape[::-1] for shape in shapes}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tuple(tensor.shape) not in shapes:
            kept[storage.data_ptr()] = storage
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        logits = model(
            input_ids=torch.arange(tokens)[None] % 97,
            position_ids=torch.arange(tokens)[None],
            use_cache=False,
            logits_to_keep=torch.tensor([0]),
            layout=sequence_layout([tokens], torch.device("cpu")),
        ).logits
    assert logits.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("kind", MODELS)
def test_activations_are_at_most_what_a_real_model_saves(kind):
    """Llama's norm saves more than is counted, and on a CPU attention's rectangles do."""
    tokens = 333
    deep, shallow = (real_model(kind, layers)[0] for layers in (3, 2))
    layer = (saved_bytes(deep, tokens) - saved_bytes(shallow, tokens)) / tokens
    counted = real_model(kind, layers=1)[1].saved_token
    assert 0.8 * layer < counted < layer


def test_the_guides_table_is_what_this_code_computes(repository):
    model = named_study(repository / "config/llama3-8b.yaml").model
    guide = (repository / "docs/slurm.md").read_text()
    memory, tokens = GpuMemory(model.weights, model.shape), 2048
    for gpus in (2, 4, 8):
        parts = [16 * model.weights / gpus, memory.gathered(), tokens * memory.saved_token]
        parts.append(memory.training(gpus, True, tokens))
        assert f"| {gpus} | " + " | ".join(f"{part / GB:.0f}" for part in parts) + " |" in guide
    assert f"Scoring the model takes {memory.scoring(2048) / GB:.0f} GB" in guide


def test_a_cpu_works_on_as_many_tokens_as_the_plan_counts():
    assert estimates.CPU_TOKENS == gradients.CPU_TOKENS
