"""Prepared splits from small files, with every count worked out by hand."""

import pytest

from ptft.data.prepare import RowError, content_key, prepare
from ptft.data.rows import DatasetError

NLI = {
    "repository": "someone/nli",
    "config": "default",
    "fields": {"premise": "text_a", "hypothesis": "text_b"},
    "label": {"column": "label", "values": {0: "yes", 1: "no"}},
}


def spec(dataset: dict, kind: str = "classification", **changes) -> dict:
    return {"kind": kind, "dataset": dataset, "split": "test", "limit": None, "seed": 0, **changes}


def row(label, a="a", b="b") -> dict:
    return {"text_a": a, "text_b": b, "label": label}


def test_rows_become_examples_and_are_counted():
    rows = [row(0), row(-1), row(1, "c", None), row(None), row(0), row(1, "d")]
    examples, audit = prepare(rows, spec(NLI), "nli-test")
    assert examples[1] == {
        "example_id": "nli-test-2",
        "fields": {"premise": "c", "hypothesis": ""},
        "gold": "no",
    }
    assert [example["gold"] for example in examples] == ["yes", "no", "yes", "no"]
    assert audit == {
        "split": "test",
        "rows": 6,
        "kept": 4,
        "drawn": 4,
        "dropped": {"no gold label": 2},
        "gold": {"no": 2, "yes": 2},
        "duplicates": 1,
        "empty_fields": 1,
        "warnings": [
            "2 of 6 rows (33%) are dropped: 1 with no gold label, found -1; 1 with no gold label, "
            "found None"
        ],
    }


def test_a_draw_is_seeded_and_keeps_the_order():
    rows = [row(n % 2, a=str(n)) for n in range(50)]
    drawn, audit = prepare(rows, spec(NLI, limit=10), "x")
    again, _ = prepare(rows, spec(NLI, limit=10), "x")
    other, _ = prepare(rows, spec(NLI, limit=10, seed=1), "x")
    numbers = [int(example["example_id"].split("-")[1]) for example in drawn]
    assert drawn == again != other
    assert numbers == sorted(set(numbers)) and len(numbers) == 10
    assert (audit["kept"], audit["drawn"]) == (50, 10)


def test_scores_are_divided_at_the_threshold():
    scores = {**NLI, "label": {"column": "label", "above": 3.5, "names": ["no", "yes"]}}
    examples, audit = prepare([row(3.5), row(3.6), row(0.0), row(-1.0)], spec(scores), "x")
    assert [example["gold"] for example in examples] == ["no", "yes", "no"]
    assert audit["dropped"] == {"no gold label": 1}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("column", ["text_a", "label"])
def test_what_is_no_number_is_refused_with_its_row(number, column):
    message = f"column '{column}': found {number}, expected a text or a number; correct the row"
    with pytest.raises(RowError, match=message) as refusal:
        prepare([row(0), row(0) | {column: number}], spec(NLI), "nli-test")
    assert refusal.value.number == 1
    unused = [row(0), row(0) | {"other": number}]
    assert len(prepare(unused, spec(NLI), "nli-test")[0]) == 2


def test_a_number_in_a_list_of_choices_is_refused_as_well():
    rows = [{"q": "?", "choices": {"text": ["w", float("nan")], "label": ["1", "2"]}, "key": "2"}]
    with pytest.raises(DatasetError, match="^column 'choices.text': found nan, expected a"):
        prepare(rows, choice(choices="choices.text"), "x")


def choice(**description) -> dict:
    return spec(
        {"repository": "a/b", "config": "c", "fields": {"question": "q"}, **description},
        "multiple_choice",
    )


ARC = {"q": "?", "choices": {"text": ["w", "x", "y"], "label": ["1", "2", "3"]}, "key": "3"}


@pytest.mark.parametrize(
    ("description", "row", "choices", "gold"),
    [
        (
            {"choices": "choices.text", "answer": {"column": "key", "among": "choices.label"}},
            ARC,
            ["w", "x", "y"],
            2,
        ),
        (
            {"choices": ["right", "wrong"], "answer": {"index": 0}},
            {"q": "?", "right": "r ", "wrong": " w"},
            ["r ", " w"],  # as they stand: the harness scores their spaces
            0,
        ),
        (
            {
                "choice_texts": ["no", "yes"],
                "answer": {"column": "a", "values": {"false": 0, "true": 1}},
            },
            {"q": "?", "a": True},
            ["no", "yes"],
            1,
        ),
        (
            {
                "choices": ["o1", "o2"],
                "choice_transform": "lower_first",
                "choice_template": "{choice} for {question}",
                "answer": {"column": "a"},
            },
            {"q": "me", "o1": "Hot", "o2": "Cold", "a": "1"},
            ["hot for me", "cold for me"],
            1,
        ),
    ],
)
def test_choices(description, row, choices, gold):
    [example], audit = prepare([row], choice(**description), "x")
    assert (example["choices"], example["gold"]) == (choices, gold)
    assert audit["gold"] == {str(gold): 1}


def test_a_continuation_is_scored_behind_each_choice():
    blank = choice(
        choices=["o1", "o2"],
        continuation={"column": "q", "transform": "after_blank"},
        answer={"column": "a", "values": {1: 0, 2: 1}},
    )
    [example], _ = prepare([{"q": "So _ left.", "o1": "Ann", "o2": "Bo", "a": "2"}], blank, "x")
    assert example["continuation"] == "left."
    assert (example["choices"], example["gold"]) == (["Ann", "Bo"], 1)
    assert content_key(example) != content_key({**example, "continuation": "stayed."})


def test_a_row_with_an_empty_choice_is_dropped():
    rows = [{"q": "?", "o": ["a", " "], "a": 0}, {"q": "?", "o": ["a", "b"], "a": 0}]
    _, audit = prepare(rows, choice(choices="o", answer={"column": "a"}), "x")
    assert (audit["kept"], audit["dropped"]) == (1, {"empty choice": 1})


def test_targets_are_stripped_and_empty_ones_dropped():
    summary = {"repository": "a/b", "config": "c", "fields": {"text": "t.0"}, "target": "s"}
    rows = [{"t": ["one", "two"], "s": " gist\n"}, {"t": ["x"], "s": ""}, {"t": ["y"], "s": None}]
    examples, audit = prepare(rows, spec(summary, "generation"), "x")
    assert examples == [{"example_id": "x-0", "fields": {"text": "one"}, "gold": "gist"}]
    assert audit["dropped"] == {"empty target": 2}
    assert audit["gold"] == {}


def test_conversations_keep_their_turns():
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    rows = [{"messages": turns}, {"messages": turns[:1]}, {"messages": turns}]
    chat = {"repository": "a/b", "config": "c", "messages": "messages"}
    examples, audit = prepare(rows, spec(chat, "chat"), "x")
    assert examples[0]["messages"] == turns
    assert audit["dropped"] == {"no assistant turn": 1}
    assert audit["duplicates"] == 1


def test_documents_are_kept_as_they_are_and_empty_ones_dropped():
    rows = [{"body": " a b\n"}, {"body": ""}, {"body": None}, {"body": " \n"}, {"body": " a b\n"}]
    examples, audit = prepare(rows, spec({"text": "body"}, "text"), "news-test")
    assert examples == [
        {"example_id": "news-test-0", "text": " a b\n"},
        {"example_id": "news-test-4", "text": " a b\n"},
    ]
    assert audit["dropped"] == {"no text": 3} and audit["duplicates"] == 1
    assert (audit["gold"], audit["empty_fields"]) == ({}, 0)


def test_a_dataset_without_text_is_refused():
    description = {"files": {"test": "rows.jsonl"}, "text": "body"}
    sentence = (
        "no row of split 'test' of rows.jsonl holds text .*2 rows: 2 with no text.*"
        "name another column as datasets.news.text"
    )
    with pytest.raises(DatasetError, match=sentence):
        prepare([{"body": ""}, {"body": None}], spec(description, "text"), "news-test")
    with pytest.raises(RowError, match="column 'body': found 7, expected a text; name another"):
        prepare([{"body": 7}], spec(description, "text"), "news-test")
    with pytest.raises(RowError, match="column 'body': found no such column, expected one of text"):
        prepare([{"text": "a"}], spec(description, "text"), "news-test")
