"""Prompts that do not fit, tokenizers that add BOS, models without a pad token, bad weights."""

import pytest
import torch
from tiny_models import EOS, sentences, tiny_olmo, tiny_tokenizer
from tokenizers.processors import TemplateProcessing

from ptft.evaluation.cells import CellRequest
from ptft.evaluation.scoring import evaluate_cell
from ptft.inference.batches import Budget
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model
from ptft.prompts import templates
from ptft.prompts.encoding import Prompt, encode_examples
from ptft.prompts.templates import few_shot_prompt

TEMPLATE = "{document}\nQuestion: {question}\nAnswer: "


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def example(words, seed=0, question="what is it"):
    text = " ".join(sentences(words, 1, seed))
    fields = {"document": text, "question": question}
    return {"example_id": f"e{words}", "fields": fields, "choices": ["one", "two"], "gold": 0}


def encode(tokenizer, rows, shots, limit, reserve=0):
    choices = lambda row: row["choices"] if not reserve else ()  # noqa: E731
    return encode_examples(tokenizer, TEMPLATE, shots, rows, choices, limit, reserve)


def test_a_long_prompt_loses_its_last_shots_first(tokenizer):
    shots = [example(10, 1), example(10, 2), example(10, 3)]
    row = example(10, 4)
    sizes = [
        len(tokenizer(few_shot_prompt(TEMPLATE, shots[:count], row))["input_ids"])
        for count in range(4)
    ]
    assert sizes == sorted(sizes)
    # The last token of a choice is predicted, never read.
    read = max(len(tokenizer(f" {text}")["input_ids"]) for text in row["choices"]) - 1
    for count in range(4):
        prompt = encode(tokenizer, [row], shots, sizes[count] + read)[0]
        assert (prompt.shots, prompt.truncated) == (count, count < 3)
        text = few_shot_prompt(TEMPLATE, shots[:count], row)
        assert prompt.context == tokenizer(text)["input_ids"]


def test_room_is_kept_for_a_generation(tokenizer):
    shots, row = [example(10, 1)], example(10, 4)
    full = len(tokenizer(few_shot_prompt(TEMPLATE, shots, row))["input_ids"])
    assert encode(tokenizer, [row], shots, full + 8, reserve=8)[0].shots == 1
    assert encode(tokenizer, [row], shots, full + 7, reserve=8)[0].shots == 0


def test_the_document_loses_its_tail_but_never_the_question(tokenizer):
    row = example(60, question=" ".join(sentences(80, 1, 9)))  # longer than the document
    whole = tokenizer(few_shot_prompt(TEMPLATE, [], row))["input_ids"]
    limit = len(whole) - 20
    prompt = encode(tokenizer, [row], [], limit, reserve=4)[0]
    text = tokenizer.decode(prompt.context)
    assert prompt.truncated
    assert limit - 12 <= len(prompt.context) + 4 <= limit  # as much as fits, in whole words
    document, _, rest = text.partition("\nQuestion: ")
    assert row["fields"]["document"].startswith(document)
    assert rest == f"{row['fields']['question']}\nAnswer:"


class Counting:
    """A tokenizer that counts the characters it is given."""

    def __init__(self, tokenizer):
        self.tokenizer, self.read = tokenizer, 0

    def __call__(self, texts, **options):
        self.read += sum(map(len, texts))
        return self.tokenizer(texts, **options)

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)


def test_a_book_in_one_row_is_not_read_again_and_again(tokenizer, monkeypatch):
    book, limit = example(8_000), 100
    shots = [example(5, 1), example(5, 2)]
    counting = Counting(tokenizer)
    cut = encode(counting, [book], shots, limit)
    assert counting.read < 3 * len(book["fields"]["document"])
    assert cut[0].truncated and len(cut[0].context) > 0.8 * limit
    rows = [book, example(5, 3), example(30, 4), example(300, 5)]
    expected = encode(tokenizer, rows, shots, limit)
    for rich in (1, 4, 10**9):  # where a token holds more characters than was thought, and never
        monkeypatch.setattr(templates, "RICH", rich)
        assert encode(tokenizer, rows, shots, limit) == expected


def test_a_question_that_never_fits_is_an_error(tokenizer):
    row = example(5, question=" ".join(sentences(80, 1, 9)))
    with pytest.raises(ValueError, match="example 'e5' does not fit"):
        encode(tokenizer, [row], [], 50)


def test_a_tokenizer_that_adds_bos_is_scored_with_it(tokenizer):
    bos = tiny_tokenizer()
    bos.bos_token = EOS
    bos.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{EOS} $A", special_tokens=[(EOS, 0)]
    )
    prompts = encode(bos, [example(5)], [example(3)], 200)
    plain = encode(tokenizer, [example(5)], [example(3)], 200)
    assert prompts[0].context == [0, *plain[0].context]
    assert prompts[0].continuations == plain[0].continuations
    engine = Engine(wrap_model(tiny_olmo(len(bos)), bos))
    cell = CellRequest("d", "f", 0, "classification", "{document}:", ("yes", "no"))
    rows = [{**example(4), "gold": "yes"}, {**example(6), "gold": "no"}]
    for row in rows:
        del row["choices"]
    results = evaluate_cell(engine, cell, rows, [])
    text = few_shot_prompt("{document}:", [], rows[0])
    ids = [0, *tokenizer(text)["input_ids"]]
    with torch.inference_mode():
        logprobs = engine.loaded.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    first = [tokenizer(word)["input_ids"][0] for word in ("yes", " yes")]
    expected = max(logprobs[token].item() for token in first)
    assert results.logprobs[0][0] == pytest.approx(expected, abs=1e-4)
    assert results.prompt_tokens[0] == len(ids)


def test_a_model_without_pad_token(tokenizer):
    unpadded = tiny_tokenizer()
    unpadded.pad_token = None
    model = tiny_olmo(len(tokenizer))
    prompts = [Prompt(list(range(2, 2 + n)), [[5, 6, 7]], 0, False) for n in (3, 9, 5)]
    with_pad = Engine(wrap_model(model, tokenizer), share_prefix=False)
    without = Engine(wrap_model(model, unpadded), share_prefix=False)
    assert with_pad.loaded.pad != without.loaded.pad
    for one, other in zip(with_pad.score(prompts), without.score(prompts), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert with_pad.generate(prompts, 6, []) == without.generate(prompts, 6, [])


def test_a_full_memory_halves_the_batch(tokenizer, monkeypatch):
    loaded = wrap_model(tiny_olmo(len(tokenizer)), tokenizer)
    prompts = [Prompt(list(range(2, 2 + n)), [[5, 6]], 0, False) for n in range(3, 20)]
    expected = Engine(loaded).score(prompts)
    texts = Engine(loaded).generate(prompts, 3, [])
    forward, sizes = type(loaded.model).forward, []

    def crowded(self, input_ids, **options):
        if len(input_ids) > 4:
            raise torch.OutOfMemoryError("full")
        sizes.append(len(input_ids))
        return forward(self, input_ids, **options)

    monkeypatch.setattr(type(loaded.model), "forward", crowded)
    engine = Engine(loaded)
    for one, other in zip(engine.score(prompts), expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert sum(sizes) == 1 + len(prompts)  # the prefix, and every prompt once
    assert 2 <= max(sizes) <= 4
    assert Engine(loaded).generate(prompts, 3, []) == texts
    monkeypatch.setattr(type(loaded.model), "forward", lambda *_, **__: crowded_out())
    with pytest.raises(torch.OutOfMemoryError):
        engine.score(prompts)


def crowded_out():
    raise torch.OutOfMemoryError("full")


def test_a_budget_follows_memory_and_shape():
    budget = Budget(tokens=1000, memory=10_000, token_bytes=10, key_bytes=4, layers=2)
    # A row of 10 tokens behind 40: 10 * 10 activations + 50 * 4 keys + 5 * 10 * 50 mask = 2,800.
    assert budget.scored_rows(10, 40) == 3
    # Without a prefix: 100 + 40 + 500 = 640 bytes.
    assert budget.scored_rows(10, 0) == 15
    assert budget.scored_rows(2000, 0) == 1
    # A generated row keeps (10 + 15) tokens of 4 bytes in 2 layers.
    assert budget.generated_rows([10] * 60, 15) == 50
    assert budget.generated_rows([12, 10, *[8] * 80], 15) == 54  # 27 + 25 + 52 * 23 tokens


def test_rows_are_cut_where_padding_is_worth_it():
    """Padding to 9 takes 2 * 5 tokens of 4 bytes; another cut would save no more than 2."""
    lengths = [9, 8, 8, 4, 3]
    assert Budget(1000, 1e6, key_bytes=4, block_bytes=39).blocks(lengths) == [(0, 3), (3, 5)]
    assert Budget(1000, 1e6, key_bytes=4, block_bytes=44).blocks(lengths) == [(0, 5)]
    assert Budget(1000, 1e6, key_bytes=4, block_bytes=0).blocks(lengths) == [
        (0, 1), (1, 3), (3, 4), (4, 5),
    ]  # fmt: skip


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_chat_sets_prompts_as_turns_by_the_tokenizers_template():
    """The same ids as of a conversation that transformers makes; the answer begins its turn."""
    tokenizer = tiny_tokenizer()
    rows = [{"example_id": str(n), "fields": {"x": f"{n} ba"}, "gold": "yes"} for n in range(3)]
    arguments = (tokenizer, "Say {x}: ", rows[:1], rows[1:], lambda row: ["yes", "no"], 200)
    with pytest.raises(ValueError, match="formats: found chat, but .* no chat template"):
        encode_examples(*arguments, chat=True)
    tokenizer.chat_template = CHATML
    tokenizer.add_special_tokens({"bos_token": "<|begin|>"})
    shot = [
        {"role": "user", "content": "Say 0 ba:"},
        {"role": "assistant", "content": "yes"},
    ]
    for number, prompt in enumerate(encode_examples(*arguments, chat=True), 1):
        turns = [*shot, {"role": "user", "content": f"Say {number} ba:"}]
        expected = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=True
        )["input_ids"]
        assert prompt.context == expected and prompt.shots == 1
        whole = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        for text, ids in zip(("yes", "no"), prompt.continuations, strict=True):
            assert expected + ids == tokenizer(whole + text, add_special_tokens=False)["input_ids"]
    [asked] = encode_examples(*arguments[:3], rows[1:2], lambda row: (), 200, chat=True)
    assert asked.continuations == [] and asked.shots == 1
