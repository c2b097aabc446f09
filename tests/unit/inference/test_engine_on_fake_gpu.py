"""The engine on a GPU that computes nothing: what scoring takes."""

import json

import pytest
from tests.fake_gpu import SHAPES, run

from ptft.planning.gpus import GpuMemory
from ptft.study.models import Shape

pytestmark = pytest.mark.slow
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
