"""The engine against plain full-prompt scoring, and its independence from batching."""

import gc

import pytest
import torch
from tiny_models import sentences, tiny_olmo, tiny_tokenizer

from ptft.inference.batches import Budget
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model
from ptft.prompts.encoding import Prompt


@pytest.fixture(scope="module")
def loaded():
    tokenizer = tiny_tokenizer()
    return wrap_model(tiny_olmo(len(tokenizer)), tokenizer)


@pytest.fixture(scope="module")
def prompts(loaded):
    """Forty trees behind one shared beginning, with one to four continuations of unequal length."""

    def encode(texts):
        return loaded.tokenizer(texts)["input_ids"]

    shared = "\n\n".join(sentences(3, 12, seed=1)) + "\n\n"
    contexts = encode([shared + text for text in sentences(40, 20, seed=2)])
    continuations = encode([" " + text for text in sentences(160, 4, seed=3)])
    return [
        Prompt(context, continuations[4 * row : 4 * row + 1 + row % 4], shots=0, truncated=False)
        for row, context in enumerate(contexts)
    ]


def plain_score(model, context, continuation):
    """Log-likelihood by the whole prompt at batch 1, as the textbook has it."""
    with torch.inference_mode():
        logprobs = model(torch.tensor([context + continuation])).logits[0].log_softmax(-1)
    return sum(
        logprobs[len(context) + at - 1, token].item() for at, token in enumerate(continuation)
    )


def flatten(scores):
    return [value for row in scores for value in row]


def test_scores_equal_whole_prompt_scoring(loaded, prompts):
    scores = Engine(loaded).score(prompts)
    expected = [
        [
            plain_score(loaded.model, prompt.context, continuation)
            for continuation in prompt.continuations
        ]
        for prompt in prompts
    ]
    assert [len(row) for row in scores] == [1 + row % 4 for row in range(40)]
    assert flatten(scores) == pytest.approx(flatten(expected), abs=1e-4)


@pytest.mark.parametrize("share_prefix", [True, False])
def test_scores_do_not_depend_on_batches_or_sharing(loaded, prompts, share_prefix):
    reference = Engine(loaded, Budget(1, 1), share_prefix=False).score(prompts)
    for budget in (1, 700, 10**6):
        scores = Engine(loaded, Budget(budget, budget), share_prefix).score(prompts)
        assert flatten(scores) == pytest.approx(flatten(reference), abs=1e-4)


@pytest.fixture(scope="module")
def generated(loaded, prompts):
    """Twelve tokens behind each prompt by the model itself, and their text."""
    found = []
    for prompt in prompts:
        ids = loaded.model.generate(
            torch.tensor([prompt.context]), max_new_tokens=12, do_sample=False, pad_token_id=1
        )[0, len(prompt.context) :]
        found.append((ids, loaded.tokenizer.decode(ids, skip_special_tokens=True)))
    return found


@pytest.mark.parametrize("share_prefix", [True, False])
@pytest.mark.parametrize("block_bytes", [0, 10**6], ids=["blocks", "one block"])
@pytest.mark.parametrize("budget", [1, 10**6])
def test_generation_equals_the_models_own(
    loaded, prompts, generated, budget, block_bytes, share_prefix
):
    limits = Budget(budget, budget, key_bytes=1, block_bytes=block_bytes)
    answers = Engine(loaded, limits, share_prefix).generate(prompts, 12, ["d"])
    for (ids, whole), answer in zip(generated, answers, strict=True):
        assert answer.text == whole.split("d")[0].strip()
        ends = "end" if loaded.tokenizer.eos_token_id in ids else "length"
        assert answer.ended == ("stop" if "d" in whole else ends)
    assert len({answer.text for answer in answers}) > 5  # not one text for all
    assert {answer.ended for answer in answers} >= {"stop", "length"}


@pytest.mark.parametrize(
    ("words", "text", "ended"),
    [
        (["\n", "\n", " ba", " be", "\n", " bi"], "ba be", "stop"),
        (["\n", " ba", "<|endoftext|>", " bi"], "ba", "end"),
        (["\n"] * 6, "", "length"),
        ([" ba"] * 6, "ba ba ba ba ba ba", "length"),
    ],
)
def test_an_answer_begins_behind_its_line_breaks(words, text, ended):
    """A real model writes a line break first, which is the stop string."""
    tokenizer = tiny_tokenizer()
    model = tiny_olmo(len(tokenizer))
    count = sum(len(tokenizer(word)["input_ids"]) for word in words)
    engine = Engine(wrap_model(model, tokenizer))
    script = [token for word in words for token in tokenizer(word)["input_ids"]]
    asked = iter(script)
    hook = model.register_forward_hook(lambda *parts: speak(parts[-1], next(asked)))
    try:
        [answer] = engine.generate([Prompt([5, 6, 7], [], 0, False)], count, ["\n"])
    finally:
        hook.remove()
    assert (answer.text, answer.ended) == (text, ended)


def speak(output, token):
    """A model's output with one token the likeliest everywhere."""
    output.logits = torch.zeros_like(output.logits)
    output.logits[..., token] = 1
    return output


def test_end_tokens_of_the_generation_config_count():
    tokenizer = tiny_tokenizer()
    model = tiny_olmo(len(tokenizer))
    model.generation_config.eos_token_id = [7, 9]
    assert wrap_model(model, tokenizer).eos_ids == {0, 7, 9}
    model.generation_config.eos_token_id = 8
    assert wrap_model(model, tokenizer).eos_ids == {0, 8}


@pytest.mark.parametrize(
    ("behind", "ends"),
    [("<|padding|>\n", {0, 1}), ("\n<|padding|>", {0, 1}), ("\n", {0}), (" bada", {0})],
)
def test_what_ends_a_turn_in_the_chat_template_counts(behind, ends):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for turn in messages %}"
        + "{{ turn.role }}: {{ turn.content }}"
        + behind
        + "{% endfor %}"
    )
    model = tiny_olmo(len(tokenizer))
    assert wrap_model(model, tokenizer).eos_ids == ends
    tokenizer.chat_template = "{{ raise_exception('no turns') }}"
    assert wrap_model(model, tokenizer).eos_ids == {0}


def test_a_batch_that_is_done_leaves_no_memory_behind(loaded, prompts):
    """Keys and values go with the last reference to them, not when Python looks for circles."""
    gc.collect()
    gc.disable()
    try:
        before = {id(tensor) for tensor in held_tensors()}
        Engine(loaded, share_prefix=False).generate(prompts, 4, [])
        left = [tensor for tensor in held_tensors() if id(tensor) not in before]
        assert sum(tensor.numel() for tensor in left if tensor.ndim == 4) == 0
    finally:
        gc.enable()


def held_tensors():
    return [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor)]


def test_nan_logits_are_an_error(loaded, prompts):
    broken = tiny_olmo(len(loaded.tokenizer))
    with torch.no_grad():
        broken.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    engine = Engine(wrap_model(broken, loaded.tokenizer))
    with pytest.raises(FloatingPointError, match="not finite"):
        engine.score(prompts[:3])
    with pytest.raises(FloatingPointError, match="not finite"):
        engine.generate(prompts[:3], 4, stop=[])
