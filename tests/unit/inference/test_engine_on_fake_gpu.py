"""The engine on a GPU that computes nothing: what decoding reads, what scoring takes."""

import json

import pytest
from tests.fake_gpu import SHAPES, run

from ptft.planning.gpus import GpuMemory
from ptft.study.models import Shape

pytestmark = pytest.mark.slow
LAYERS, WIDTH = 4, 2048
SHARED, SHORTEST, LONGEST, ROWS, STEPS = 1500, 190, 570, 700, 4
GENERATE = """
import json, sys
import numpy as np
layers, width, shared, shortest, longest, rows, steps, block = map(int, sys.argv[1:])
with device() as gpu:
    import torch, transformers
    from gpu_sections import Ids
    from ptft.inference.engine import Engine
    from ptft.models.loading import wrap_model
    from ptft.prompts.encoding import Prompt

    config = transformers.OlmoConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=width // 128, vocab_size=50304, max_position_embeddings=4096,
        eos_token_id=None, pad_token_id=1, tie_word_embeddings=True,
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = transformers.OlmoForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    engine = Engine(wrap_model(model, Ids()))
    if block:
        engine.budget.block_bytes = block
    # 7 once at the end, so that all begin with the same `shared` tokens and no more.
    lengths = np.linspace(shortest, longest, rows).astype(int)
    prompts = [Prompt([5] * shared + [number % 2 + 6] * n, [], 4, False)
               for number, n in enumerate(lengths.tolist())]
    found = {}
    for new in (1, 1 + steps):
        gpu.begin()
        engine.generate(prompts, new, ())
        found[new] = [sum(gpu.bytes.values()), gpu.seconds, sum(gpu.launches.values())]
    first, last = found.values()
print(json.dumps([(b - a) / steps for a, b in zip(first, last)] + [engine.budget.key_bytes]))
"""


def step_of(block_bytes):
    """Bytes, seconds and launches of a decoding step, and bytes of a token's keys in a layer."""
    sizes = (LAYERS, WIDTH, SHARED, SHORTEST, LONGEST, ROWS, STEPS, block_bytes)
    return run(GENERATE, *map(str, sizes))


def test_decoding_reads_little_padding():
    """In one block a step reads the keys of 570 tokens a row, of 380 that there are: now of 424."""
    moved, seconds, launches, key_bytes = step_of(0)
    padded, slower, fewest, _ = step_of(2**60)
    assert (padded - moved) / (ROWS * LAYERS * key_bytes) == pytest.approx(570 - 424, rel=0.05)
    assert slower / seconds > 1.15
    assert launches == fewest + 3 * 7 * LAYERS  # three blocks more


TOKENS = 1900
SCORE = """
import json, sys
kind, shape, tokens = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
with device() as gpu:
    import torch, transformers
    from gpu_sections import Ids
    from ptft.inference.batches import Budget
    from ptft.inference.engine import Engine
    from ptft.models.loading import wrap_model
    from ptft.prompts.encoding import Prompt

    config = getattr(transformers, kind + "Config")(
        **shape, max_position_embeddings=2048, eos_token_id=None, pad_token_id=1
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = getattr(transformers, kind + "ForCausalLM")(config)
    torch.set_default_dtype(torch.float32)
    engine = Engine(wrap_model(model, Ids()), Budget(tokens=1, memory=0), share_prefix=False)
    context = [7] * (tokens - 60)
    works = {
        "labels": lambda: engine.score([Prompt(context, [[3, 5], [4, 6]], 4, False)]),
        "choices": lambda: engine.score([Prompt(context, [[3] * 15] * 4, 4, False)]),
        "generation": lambda: engine.generate([Prompt(context, [], 4, False)], 3, ()),
    }
    found = {"weights": sum(p.numel() for p in model.parameters())}
    for name, work in works.items():
        gpu.begin()
        work()
        found[name] = gpu.peak
print(json.dumps(found))
"""


@pytest.mark.parametrize("kind", SHAPES)
def test_claims_of_scoring_are_within_a_tenth_of_what_is_tracked(kind):
    """Of one prompt at a time, the least that an evaluation takes."""
    found = run(SCORE, kind, json.dumps(SHAPES[kind]), str(TOKENS))
    memory = GpuMemory(found.pop("weights"), Shape(**SHAPES[kind]))
    claimed = {name: memory.scoring(TOKENS, generating=name == "generation") for name in found}
    assert found == {name: pytest.approx(bytes_, rel=0.1) for name, bytes_ in claimed.items()}
    assert set(found) == {"labels", "choices", "generation"}
