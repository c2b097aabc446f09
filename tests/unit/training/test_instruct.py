"""Instruction tuning learns the assistant's turns and nothing else."""

import tracemalloc

import pytest
from tiny import tiny_tokenizer

from ptft.training.methods import get_method

CHAT = {
    "example_id": "c-0",
    "messages": [
        {"role": "user", "content": "w1 w2"},
        {"role": "assistant", "content": "yes w3"},
        {"role": "user", "content": "w4"},
        {"role": "assistant", "content": "no"},
    ],
}


def chat_text(tokenizer, template=None):
    (example,) = get_method("instruct").examples(tokenizer, [CHAT], template, 99)
    words = tokenizer.convert_ids_to_tokens(example.ids.tolist())
    learned = [
        word for word, is_learned in zip(words, example.loss_mask, strict=True) if is_learned
    ]
    return words, learned


def test_assistant_turns_are_learned():
    template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}<bot> "
        "{% generation %}{{ m.content }} {{ eos_token }}{% endgeneration %} "
        "{% else %}<user> {{ m.content }} {% endif %}{% endfor %}"
    )
    words, learned = chat_text(tiny_tokenizer(), template)
    assert words == [
        "<user>",
        "w1",
        "w2",
        "<bot>",
        "yes",
        "w3",
        "<eos>",
        "<user>",
        "w4",
        "<bot>",
        "no",
        "<eos>",
    ]
    assert learned == ["yes", "w3", "<eos>", "no", "<eos>"]


@pytest.mark.shared
def test_tulu_format_with_the_real_tokenizer(shared):
    from ptft.models.loading import load_tokenizer

    tokenizer = load_tokenizer(shared / "hub/models/allenai/OLMo-1B-hf")
    (example,) = get_method("instruct").examples(tokenizer, [CHAT], None, 99)
    assert tokenizer.decode(example.ids) == (
        "<|user|>\nw1 w2\n<|assistant|>\nyes w3<|endoftext|>\n"
        "<|user|>\nw4\n<|assistant|>\nno<|endoftext|>\n"
    )
    assert tokenizer.decode(example.ids[example.loss_mask]) == (
        "yes w3<|endoftext|>no<|endoftext|>"
    )


def test_template_without_a_mark_is_refused():
    with pytest.raises(ValueError, match="no {% generation %} block"):
        chat_text(tiny_tokenizer(), "{{ messages[0].content }}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"example_id": "a", "fields": {}}, "row a: instruct needs 'messages'"),
        (
            {"example_id": "b", "messages": [{"role": "robot", "content": "x"}]},
            "row b: found the message .*robot",
        ),
    ],
)
def test_rows_that_are_no_conversations_are_refused(row, message):
    with pytest.raises(ValueError, match=message):
        get_method("instruct").examples(tiny_tokenizer(), [row], None, 99)


@pytest.mark.slow
def test_conversations_are_encoded_in_pieces_and_cut_at_once(monkeypatch):
    """Python's lists of a piece's tokens are given back before the next piece is encoded."""
    rows = [CHAT | {"example_id": f"c-{number}", "messages": 30 * CHAT["messages"]}
            for number in range(300)]  # fmt: skip
    method, tokenizer = get_method("instruct"), tiny_tokenizer()
    peaks = {}
    for piece in (10, 300):
        monkeypatch.setattr("ptft.prompts.tokens.PIECE", piece)
        tracemalloc.start()
        examples = method.examples(tokenizer, rows, None, 100)
        peaks[piece] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [item.example_id for item in examples] == [row["example_id"] for row in rows]
        assert {len(item.ids) for item in examples} == {100}
        assert all(item.cut for item in examples)
        whole = method.examples(tokenizer, rows[:1], None, 9999)[0]
        assert len(whole.ids) > 300 and (examples[299].ids == whole.ids[:100]).all()
        assert (examples[299].loss_mask == whole.loss_mask[:100]).all()
    assert peaks[10] < 0.2 * peaks[300]
