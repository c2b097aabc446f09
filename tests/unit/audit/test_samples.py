"""Samples of prompts and training examples, to the letter."""

import json

import pytest
from test_audit import TEMPLATE, TEST, example, plan, tokenizer, tuning, with_news  # noqa: F401
from tokenizers import decoders

from ptft.audit.samples import show_prompts


@pytest.fixture
def exact(tokenizer):  # noqa: F811
    """The tokenizer, whose decoded tokens are the text again."""
    tokenizer.backend_tokenizer.decoder = decoders.Fuse()
    return tokenizer


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    long = example(9, "a", "b c d e f g h a b c", "h")
    splits = {
        "train": [example(0, "a", "b", "g"), example(1, "a", "c", "h"), long],
        "shots": [example(2, "a", "d", "g"), example(3, "a", "e", "h")],
        "test": [*TEST[:2], long, TEST[2]],
    }
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return tmp_path


def shown(text: str, name: str) -> list[str]:
    """The samples of an example, in the order of the page."""
    return [part for part in text.split("--- ") if part.startswith(f"{name}:")]


def test_a_prompt_with_its_shots_and_the_labels(data, exact):
    text = show_prompts(plan({}), data, exact, 100)
    assert "pairs, format default, shots: 2 (classification)" in text
    [first] = shown(text, "x-4")
    assert first.rstrip() == ("x-4: 15 tokens\na d = g\n\na e = h\n\na b =\n>   [[ g]]\n> * [[ h]]")
    [second] = shown(text, "x-5")
    assert second.rstrip() == "x-5: 15 tokens\n(2 shots)\n\na d =\n> * [[ g]]\n>   [[ h]]"
    assert shown(text, "x-9") and not shown(text, "x-6")  # the longest of the others


def test_a_prompt_that_is_cut_says_so(data, exact):
    [cut] = shown(show_prompts(plan({}), data, exact, 8), "x-9")
    assert cut.startswith("x-9: 8 tokens; too long: 0 of 2 shots are left\na b c d e f g =\n")


def test_training_examples_mark_what_is_learned(data, exact):
    asked = plan(tuning(max_length=8))
    text = show_prompts(asked, data, exact, 100)
    assert "Training of full.pairs on pairs" in text
    [first] = shown(text, "x-0")
    assert first.rstrip() == "x-0: 5 tokens, 2 learned\na b =[[ g<eos>]]"
    cut = shown(text, "x-9")[-1]
    assert cut.rstrip() == ("x-9: 8 tokens, 2 learned; cut to 8\na b c d e =[[ h<eos>]]")


def test_choices_and_generations(data, exact):
    choices = [{**row, "choices": ["g", "h"], "gold": 1} for row in TEST]
    (data / "pairs/test.jsonl").write_text("\n".join(map(json.dumps, choices)) + "\n")
    asked = plan(kind="multiple_choice", labels=None, shots=[0])
    assert "a b =\n>   [[ g]]\n> * [[ h]]" in show_prompts(asked, data, exact, 100)
    (data / "pairs/test.jsonl").write_text("\n".join(map(json.dumps, TEST)) + "\n")
    asked = plan(kind="generation", labels=None, shots=[0])
    text = show_prompts(asked, data, exact, 100)
    assert "a b =\n> generates 4 tokens at most, up to '\\n'; * h" in text


def test_what_would_be_refused_is_said_in_its_place(data, exact):
    text = show_prompts(plan(shots=[3]), data, exact, 100)
    assert "refused: 3 shots asked for, but only 2 rows to draw them from" in text
    assert shown(text, "x-0")


def test_windows_of_a_text(data, exact):
    (data / "news").mkdir()
    row = {"example_id": "n-0", "text": "a b c d e f"}
    (data / "news/test.jsonl").write_text(json.dumps(row) + "\n")
    text = show_prompts(with_news(window=4, stride=2), data, exact, 100)
    assert "news, windows of 4 tokens, stride: 2" in text
    [first] = shown(text, "n-0")
    assert first.rstrip() == ("n-0: 6 tokens, windows: 2\n<eos>[[a b c d]]\n b c d[[ e f]]")
