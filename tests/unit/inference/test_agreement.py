"""Whether the engine is right for an architecture: its behaviour decides, against transformers.

Random models of transformers' own classes; what is expected of each is computed here, a prompt at a
time, without a cache.
"""

import pytest
import torch
import transformers
from tiny_models import sentences, tiny_olmo, tiny_tokenizer

from ptft.inference.agreement import Disagreement, PlainEngine, checked_engine
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model
from ptft.prompts.encoding import Prompt

USUAL = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=128, initializer_range=0.3,
)  # fmt: skip
GROUPED = USUAL | dict(num_key_value_heads=2, head_dim=8)
SHORT = dict(n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.3)
EXPERTS = dict(num_experts_per_tok=2, moe_intermediate_size=16)
# Name -> the class of its configuration, and what it is made with.
RIGHT = {
    "llama": ("LlamaConfig", GROUPED),
    "gpt_neox": ("GPTNeoXConfig", USUAL),
    "gpt2 with attention dropout": ("GPT2Config", SHORT | {"attn_pdrop": 0.1}),
}
PLAIN = {
    "phi3 longrope": (
        "Phi3Config",
        USUAL
        | dict(
            num_key_value_heads=4,
            original_max_position_embeddings=32,
            rope_parameters=dict(
                rope_type="longrope", rope_theta=10000.0, factor=4.0, short_factor=[1.0] * 4,
                long_factor=[4.0] * 4, original_max_position_embeddings=32,
            ),
        ),
    ),
    "falcon": (
        "FalconConfig",
        dict(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=False,
            initializer_range=0.3, max_position_embeddings=128,
        ),
    ),
    "llama4 chunked": (
        "Llama4TextConfig",
        GROUPED
        | dict(
            intermediate_size_mlp=64, attention_chunk_size=16, num_local_experts=2,
            num_experts_per_tok=1, moe_layers=[],
        ),
    ),
    "deepseek mla": (
        "DeepseekV3Config",
        USUAL
        | EXPERTS
        | dict(
            n_routed_experts=4, n_group=2, topk_group=1, q_lora_rank=16, kv_lora_rank=16,
            qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=12, first_k_dense_replace=1,
            num_key_value_heads=4,
        ),
    ),
    "qwen3-next": (
        "Qwen3NextConfig",
        GROUPED
        | EXPERTS
        | dict(
            linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=8,
            linear_value_head_dim=8, num_experts=4, shared_expert_intermediate_size=16,
            layer_types=["linear_attention", "full_attention"],
        ),
    ),
    "gpt_neo": (
        "GPTNeoConfig",
        dict(
            hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]],
            window_size=16, max_position_embeddings=128, initializer_range=0.3,
        ),
    ),
    "bloom": ("BloomConfig", dict(hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)),
    "gemma2": ("Gemma2Config", GROUPED | dict(sliding_window=16, query_pre_attn_scalar=8)),
    "gptj": ("GPTJConfig", SHORT | {"rotary_dim": 4}),
    "mamba": (
        "MambaConfig",
        dict(hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.3),
    ),
    "mistral with a window": ("MistralConfig", GROUPED | {"sliding_window": 16}),
}  # fmt: skip


def build(kind, options):
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = getattr(transformers, kind)(
        vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, pad_token_id=1, **options
    )
    return wrap_model(transformers.AutoModelForCausalLM.from_config(config), tokenizer)


@pytest.fixture(scope="module")
def prompts():
    """Short and long ones behind one beginning, scored and continued."""
    encode = tiny_tokenizer()
    shared = encode(" ".join(sentences(6, 3, 1)))["input_ids"][:10]
    tails = [encode(" " + text)["input_ids"] for text in sentences(8, 12, 2)]
    contexts = [shared + tail for tail in tails[:3]] + [shared + sum(tails[3:], [])[:50]]
    scored = [Prompt(context, [[5], [7], [9, 11]], 0, False) for context in contexts]
    return scored + [Prompt(context, [], 0, False) for context in contexts]


@torch.inference_mode()
def logprobs_behind(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0, -1].log_softmax(-1)


def scored_plainly(model, prompt):
    totals = []
    for continuation in prompt.continuations:
        ids, total = list(prompt.context), 0.0
        for token in continuation:
            total += logprobs_behind(model, ids)[token].item()
            ids.append(token)
        totals.append(total)
    return totals


def continued_plainly(model, prompt, count):
    ids = list(prompt.context)
    for _ in range(count):
        ids.append(int(logprobs_behind(model, ids).argmax()))
        if ids[-1] == 0:
            return ids[len(prompt.context) : -1]
    return ids[len(prompt.context) :]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RIGHT, *PLAIN])
def test_scores_and_texts_are_those_of_transformers(name, prompts):
    loaded = build(*(RIGHT | PLAIN)[name])
    scored, asked = prompts[:4], prompts[4:]
    expected = [scored_plainly(loaded.model, prompt) for prompt in scored]
    texts = [continued_plainly(loaded.model, prompt, 5) for prompt in asked]
    engine = checked_engine(loaded, prompts)
    assert engine.plain == (name in PLAIN)
    for one, other in zip(engine.score(scored), expected, strict=True):
        assert one == pytest.approx(other, abs=1e-3)
    assert [list(one.ids) for one in engine.generate(asked, 5, [])] == texts
    assert bool(engine.loaded.plainly) == engine.plain == engine.renewed().plain


def test_a_window_that_no_prompt_reaches_is_reached_by_a_made_one(prompts):
    """The study's prompts are shorter than 64 tokens, but other examples may be longer."""
    loaded = build("MistralConfig", GROUPED | {"sliding_window": 64})
    assert not checked_engine(loaded, prompts[:2], whole=False).plain
    assert checked_engine(loaded, prompts[:2]).plain


def test_weights_in_bfloat16_are_compared_in_float32_and_given_back(prompts):
    tokenizer = tiny_tokenizer()
    model = tiny_olmo(len(tokenizer)).bfloat16()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    assert not checked_engine(wrap_model(model, tokenizer), prompts).plain
    for name, weight in model.named_parameters():
        assert weight.dtype == torch.bfloat16 and torch.equal(weight, before[name])


def test_what_transformers_itself_cannot_run_twice_is_refused(prompts):
    tokenizer = tiny_tokenizer()
    model = tiny_olmo(len(tokenizer))
    noise = model.register_forward_hook(
        lambda *parts: setattr(parts[-1], "logits", torch.randn_like(parts[-1].logits))
    )
    with pytest.raises(Disagreement, match="gives other scores each time"):
        checked_engine(wrap_model(model, tokenizer), prompts)
    noise.remove()
    model.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(Disagreement, match="can't be run by transformers itself .ZeroDivision"):
        checked_engine(wrap_model(model, tokenizer), prompts)


def test_the_plain_way_is_the_engines(prompts):
    tokenizer = tiny_tokenizer()
    loaded = wrap_model(tiny_olmo(len(tokenizer)), tokenizer)
    given = Prompt([5, 6], [[7, 8, 9], [7, 9]], 0, False, given=(1, 0))
    one, other = PlainEngine(loaded), Engine(loaded)
    for plain, ours in zip(
        one.score([*prompts[:4], given]), other.score([*prompts[:4], given]), strict=True
    ):
        assert plain == pytest.approx(ours, abs=1e-4)
    told = []
    texts = one.generate(prompts[4:], 8, ["d"], told.append)
    assert texts == other.generate(prompts[4:], 8, ["d"]) and sum(told) == 4
