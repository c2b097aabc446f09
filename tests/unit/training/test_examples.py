"""Rows as training examples: what is learned, and what is left of a row that is too long."""

import pytest
from tiny import LABELS, TEMPLATE, WORDS, tiny_rows, tiny_tokenizer

from ptft.prompts.encoding import encode_examples
from ptft.training.examples import completion_examples, truncate


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def words(tokenizer, ids):
    return tokenizer.convert_ids_to_tokens(list(ids))


def row(text, gold="yes", name="r"):
    return {"example_id": name, "fields": {"text": text}, "gold": gold}


def test_the_answer_and_its_end_are_learned(tokenizer):
    [example] = completion_examples(tokenizer, [row("w1 w2")], TEMPLATE)
    assert words(tokenizer, example.ids) == ["#", "w1", "w2", "?", "yes", "<eos>"]
    assert words(tokenizer, example.ids[example.loss_mask]) == ["yes", "<eos>"]
    assert not example.cut


def test_a_long_context_is_shortened_as_in_evaluation(tokenizer):
    rows = tiny_rows(60, longest=30)
    whole = completion_examples(tokenizer, rows, TEMPLATE)
    limit = 14
    examples = completion_examples(tokenizer, rows, TEMPLATE, limit)
    assert sum(item.cut for item in examples) == sum(len(item.ids) > limit for item in whole) > 20
    # Evaluation reads all but the last token of an answer; training its end as well.
    prompts = encode_examples(
        tokenizer, TEMPLATE, [], rows, lambda example: [example["gold"]], limit - 2
    )
    for example, original, prompt, source in zip(examples, whole, prompts, rows, strict=True):
        assert len(example.ids) == min(len(original.ids), limit)
        assert example.cut == prompt.truncated
        assert example.ids.tolist() == [*prompt.context, *prompt.continuations[0], 0]
        assert words(tokenizer, example.ids[example.loss_mask]) == [source["gold"], "<eos>"]
    kept, dropped = truncate(examples, limit)
    assert (len(kept), dropped) == (60, [])


def test_a_question_is_never_shortened(tokenizer):
    long = {"question": " ".join(WORDS[:10]), "text": "w1 w2 w3"}
    asked = {"example_id": "q", "fields": long, "gold": "no"}
    [example] = completion_examples(tokenizer, [asked], "{text} : {question} ?", 15)
    assert words(tokenizer, example.ids) == ["w1", ":", *WORDS[:10], "?", "no", "<eos>"]


def test_a_long_answer_is_cut_at_its_end(tokenizer):
    answer = " ".join(LABELS * 4)
    [example] = completion_examples(tokenizer, [row("w1 w2", answer)], TEMPLATE, 8)
    assert example.cut
    [[kept], dropped] = truncate([example], 8)
    assert words(tokenizer, kept.ids) == ["#", "w1", "w2", "?", "yes", "no", "maybe", "yes"]
    assert kept.targets == 4 and not dropped
