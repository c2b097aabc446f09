"""Mistakes in files of rows and in single rows, and the sentence that answers each."""

import pytest

from ptft.data.prepare import prepare
from ptft.data.rows import DatasetError, read_rows

DATA = [
    ("x.jsonl", "", "s", "{at} is empty; expected rows"),
    ("x.csv", "", "s", "{at} is empty; expected rows"),
    ("x.parquet", "", "s", "{at} is empty; expected rows"),
    (
        "x.jsonl",
        '{"a": 1}\n{"a": 2\n',
        "s",
        "{at}:2: found no JSON object: Expecting ',' delimiter",
    ),
    (
        "x.csv",
        "a,b\n1,2\n1,2,3\n",
        "s",
        "{at} can't be read: Error tokenizing data. C error: Expected 2 fields in line 3, saw 3",
    ),
    ("x.parquet", "no parquet", "s", "{at} can't be read: Parquet magic bytes not found in footer"),
    (
        "x.jsonl",
        '{"a": 1}\n',
        "s[:5]",
        "'s[:5]' of {at} names rows beyond the end: split 's' has 1; change the range in the "
        "family's file",
    ),
]


@pytest.mark.parametrize(("name", "content", "split", "sentence"), DATA)
def test_a_mistake_in_the_rows(tmp_path, name, content, split, sentence):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(DatasetError) as refusal:
        read_rows(tmp_path, {"files": {"s": str(file)}}, split)
    assert str(refusal.value).strip().startswith(sentence.replace("{at}", str(file)))


IN_ROWS = [
    (
        {"label": {"column": "l", "above": 3, "names": ["a", "b"]}},
        {"l": "n/a"},
        "column 'l': found 'n/a', expected a number",
    ),
    (
        {"label": {"column": "l", "values": {0: "a"}}},
        {"l": 1},
        "1 is none of the known values 0",
    ),
    (
        {"choices": ["c", "d"], "answer": {"column": "a"}},
        {"c": "x", "d": "y", "a": "B"},
        "column 'a': found 'B', expected an index from 0 (or say `among` or `values`)",
    ),
    (
        {"choices": "c", "answer": {"index": 0}},
        {"c": "x, y"},
        "column 'c' holds 'x, y', expected a list",
    ),
    (
        {"choices": ["c", "d"], "answer": {"column": "a", "among": "n"}},
        {"c": "x", "d": "y", "a": "B", "n": "AB"},
        "column 'n' holds 'AB', expected a list",
    ),
    ({"messages": "m"}, {"m": "hello"}, "column 'm' holds 'hello', expected a list"),
    (
        {"target": "t", "fields": {"f": {"column": "t", "transform": "after_blank"}}},
        {"t": "no blank"},
        "field 'f': 'no blank' can't be rewritten by after_blank: list index out of range",
    ),
    ({"target": "u"}, {"t": "x"}, "no column 'u'; the row has t"),
]
KINDS = {"label": "classification", "messages": "chat", "target": "generation"}


@pytest.mark.parametrize(("description", "row", "sentence"), IN_ROWS)
def test_a_mistake_in_a_row(description, row, sentence):
    kind = next((kind for key, kind in KINDS.items() if key in description), "multiple_choice")
    dataset = {"repository": "a/b", "config": "c", "fields": {}, **description}
    spec = {"kind": kind, "dataset": dataset, "split": "test", "limit": None, "seed": 0}
    with pytest.raises(DatasetError) as refusal:
        prepare([row], spec, "own-test")
    assert str(refusal.value).startswith(("own-test, row 0: ", "own-test, row 0, "))
    assert str(refusal.value).endswith(sentence)


def test_a_split_without_rows_is_named():
    spec = {"kind": "chat", "dataset": {"repository": "a/b", "config": "c"}, "split": "s[9:]"}
    with pytest.raises(DatasetError) as refusal:
        prepare([], spec, "own-test")
    assert str(refusal.value) == (
        "own-test: split 's[9:]' of a/b (c) has no rows; name another in the family's file"
    )


@pytest.mark.parametrize(
    ("name", "content", "split"),
    [("x.jsonl", "\n\n", "s"), ("x.csv", "a,b\n", "s"), ("x.jsonl", '{"a": 1}\n', "s[1:]")],
)
def test_a_split_without_rows_has_none(tmp_path, name, content, split):
    """Which `ptft.data.prepare.prepare` refuses, naming the split."""
    (tmp_path / name).write_text(content)
    assert read_rows(tmp_path, {"files": {"s": str(tmp_path / name)}}, split) == []
