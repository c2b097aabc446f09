"""Prompts: texts written out by hand."""

import pytest

from ptft.prompts.templates import (
    alternatives,
    few_shot_prompt,
    gold_text,
    render,
    render_shot,
    scored_texts,
    select_shots,
)

TEMPLATE = "### Input: {document}\n ### Summary: "


def example(number: int, gold: str = "yes") -> dict:
    return {"example_id": f"d-{number}", "fields": {"document": f"text {number}"}, "gold": gold}


def test_render_strips_spaces_at_the_end_only():
    assert render(TEMPLATE, {"document": " a b "}) == "### Input:  a b \n ### Summary:"
    assert render("{document}\n", {"document": "a"}) == "a\n"


def test_render_keeps_braces_of_the_data():
    assert render("{document}!", {"document": "{x} {document}"}) == "{x} {document}!"


def test_gold_text_of_a_choice_is_the_choice():
    assert gold_text({"gold": 1, "choices": ["left", "right"]}) == "right"
    assert gold_text({"gold": "neutral"}) == "neutral"


def test_few_shot_prompt():
    shot = example(1, "gist one")
    assert render_shot(TEMPLATE, shot) == "### Input: text 1\n ### Summary: gist one"
    assert few_shot_prompt(TEMPLATE, [shot, example(2, "gist two")], example(3)) == (
        "### Input: text 1\n ### Summary: gist one\n\n"
        "### Input: text 2\n ### Summary: gist two\n\n"
        "### Input: text 3\n ### Summary:"
    )


def test_alternatives_are_scored_behind_one_context():
    question = {"fields": {"document": "it is"}, "choices": ["hot", " cold"], "gold": 0}
    assert alternatives("{document} ", question, question["choices"]) == [
        ("it is", " hot"),
        ("it is", "  cold"),
    ]


def test_partial_scoring_puts_the_choices_into_the_context():
    blank = {
        "fields": {"before": "So "},
        "choices": ["Ann", "Bo"],
        "continuation": "left.",
        "gold": 1,
    }
    template = "{before}{choice}"
    pairs = alternatives(template, blank, blank["choices"])
    assert pairs == [("So Ann", " left."), ("So Bo", " left.")]
    assert render_shot(template, blank) == "So Bo left."
    assert scored_texts(blank) == ["left.", "left."]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_balanced_shots_differ_by_at_most_one(count):
    pool = [example(n, label) for n, label in enumerate(["a"] * 30 + ["b"] * 5 + ["c"] * 5)]
    golds = [shot["gold"] for shot in select_shots(pool, count, seed=0, balanced=True)]
    counts = [golds.count(label) for label in "abc"]
    assert sum(counts) == count
    assert max(counts) - min(counts) <= 1


def test_more_shots_extend_fewer_and_file_order_does_not_matter():
    pool = [example(n, "ab"[n % 2]) for n in range(20)]
    four = select_shots(pool, 4, seed=1, balanced=True)
    assert select_shots(pool, 2, seed=1, balanced=True) == four[:2]
    assert select_shots(pool[::-1], 4, seed=1, balanced=True) == four
    assert select_shots(pool, 4, seed=2, balanced=True) != four
