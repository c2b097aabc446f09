"""Scores that decide are float32, whatever the model's precision; attention without cuDNN."""

import copy

import pytest
import torch
from tiny_models import tie, tiny_olmo, tiny_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from ptft.evaluation.cells import CellRequest
from ptft.evaluation.scoring import evaluate_cell
from ptft.inference.engine import Engine
from ptft.inference.forward import exact_head, float32_logits
from ptft.models.loading import wrap_model
from ptft.prompts.encoding import Prompt, encode_examples

FIRST, SECOND = 40, 41
CONTEXT = [5, 9, 33, 70, 12]


@pytest.fixture(scope="module")
def tied():
    """A bf16 model whose logits of FIRST and SECOND behind CONTEXT tie in bf16, not in float32."""
    torch.manual_seed(3)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=600, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
            num_attention_heads=4, max_position_embeddings=128, eos_token_id=0,
        )
    ).to(torch.bfloat16).eval()  # fmt: skip
    return tie(model, CONTEXT, FIRST, SECOND)


def test_a_tie_in_bfloat16_is_none_in_float32(tied):
    with torch.inference_mode():
        coarse = tied(torch.tensor([CONTEXT])).logits[0, -1]
    assert coarse.dtype == torch.bfloat16 and coarse[FIRST] == coarse[SECOND] > 9
    engine = Engine(wrap_model(tied, tiny_tokenizer()))
    ((first, second),) = engine.score([Prompt(CONTEXT, [[FIRST], [SECOND]], 0, False)])
    assert first < second < first + 0.03
    with torch.inference_mode():
        hidden = tied.model(torch.tensor([CONTEXT])).last_hidden_state[0, -1].double()
        expected = (hidden @ tied.lm_head.weight.double().T).log_softmax(-1)
    assert first == pytest.approx(expected[FIRST].item(), abs=1e-5)
    assert second == pytest.approx(expected[SECOND].item(), abs=1e-5)


KINDS = {
    "classification": {"labels": ("yes", "no"), "template": "{text} Answer: "},
    "multiple_choice": {"template": "{text} Answer: ", "metric": "acc"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_share_of_ties_is_noted_in_both_precisions(kind, tied):
    model = copy.deepcopy(tied)
    engine = Engine(wrap_model(model, tiny_tokenizer()))
    row = {"example_id": "a", "fields": {"text": "bada"}, "choices": ["yes", "no"], "gold": 0}
    row |= {"gold": "yes"} if kind == "classification" else {}
    cell = CellRequest(dataset="d", format="default", shots=0, kind=kind, **KINDS[kind])
    prompt = encode_examples(
        engine.loaded.tokenizer, cell.template, [], [row], lambda _: ["yes", "no"], 128
    )[0]
    (first,), (second,) = prompt.continuations
    tie(model, prompt.context, first, second)
    results = evaluate_cell(engine, cell, [row] * 3, [])
    assert results.predicted == 3 * ["no" if kind == "classification" else 1]


def test_later_greedy_tokens_are_chosen_in_float32_too(tied):
    """The last token of the context is generated first, by a row of the head that ends no tie."""
    model, tokenizer = copy.deepcopy(tied), tiny_tokenizer()
    with torch.inference_mode():
        before, after = model.model(torch.tensor([CONTEXT])).last_hidden_state[0, -2:].float()
    away = before - (before @ after) / (after @ after) * after
    with torch.no_grad():
        model.lm_head.weight[CONTEXT[-1]] = 20 * away / (away @ before)
    engine = Engine(wrap_model(model, tokenizer))
    [answer] = engine.generate([Prompt(CONTEXT[:-1], [], 0, False)], 2, [])
    assert answer.text == tokenizer.decode([CONTEXT[-1], SECOND]).strip()


def test_only_the_places_asked_for_are_computed_and_the_head_is_given_back():
    model = tiny_olmo(600)
    ids = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    with torch.inference_mode():
        whole = model(ids).logits
        with exact_head(model, torch.tensor([3, 6])):
            some = model(ids).logits
        again = model(ids).logits
    assert some.shape == (1, 2, 600)
    torch.testing.assert_close(some[0], torch.stack([whole[0, 3], whole[1, 2]]))
    assert torch.equal(again, whole)


def test_a_bias_is_added_in_float32():
    hidden, weight = torch.ones(1, 2, dtype=torch.bfloat16), torch.ones(3, 2, dtype=torch.bfloat16)
    bias = torch.tensor([0.0, 0.5, 256.0], dtype=torch.bfloat16)
    logits = float32_logits(hidden, weight, bias)
    assert logits.dtype == torch.float32 and logits.tolist() == [[2.0, 2.5, 258.0]]
