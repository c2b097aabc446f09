"""Mistakes in single rows, and the sentence that answers each."""

import json

import pytest
from slice_files import slice_file

import prepare_split
from ptft.data.prepare import prepare
from ptft.data.rows import DatasetError

IN_ROWS = [
    (
        {"label": {"column": "l", "above": 3, "names": ["a", "b"]}},
        {"l": "3.5"},
        {"l": "high"},
        "column 'l': found 'high', expected a number; correct the row, or set label.values in the "
        "family's file",
    ),
    (
        {"label": {"column": "l", "values": {0: "a", 1: "b"}}},
        {"l": 1},
        {"l": 9},
        "column 'l': found 9, expected 0 or 1; add it to label.values in the family's file",
    ),
    (
        {
            "label": {"column": "l", "values": {0: "a", 1: "b", 2: "c"}},
            "fields": {"f": {"column": "t", "values": {"x": "X"}}},
        },
        {"l": 1, "t": "x"},
        {"l": 1, "t": "y" * 99},
        f"field 'f', column 't': found '{'y' * 56}..., expected x; add it to fields.f.values in "
        "the family's file",
    ),
    (
        {"choices": ["c", "d"], "answer": {"column": "a"}},
        {"c": "x", "d": "y", "a": "1"},
        {"c": "x", "d": "y", "a": "B"},
        "column 'a': found 'B', expected an index from 0; say answer.values or answer.among in the "
        "family's file",
    ),
    (
        {"choices": ["c", "d"], "answer": {"column": "a"}},
        {"c": "x", "d": "y", "a": 1},
        {"c": "x", "d": "y", "a": 2},
        "column 'a': found 2, which is choice 2, expected one of the choices 0 to 1; correct the "
        "row, or `answer` in the family's file",
    ),
    (
        {"choices": "c", "answer": {"index": 0}},
        {"c": "x, y"},
        {"c": "x, y"},
        "column 'c': found 'x, y', expected a list; name another column in the family's file",
    ),
    (
        {"choices": ["c", "d"], "answer": {"column": "a", "among": "n"}},
        {"c": "x", "d": "y", "a": "B", "n": ["A", "B"]},
        {"c": "x", "d": "y", "a": "C", "n": ["A", "B"]},
        "column 'a': found 'C', expected one of ['A', 'B'], which column 'n' holds; "
        "correct the row",
    ),
    ({"messages": "m"}, {"m": "hello"}, {"m": "hello"}, "column 'm': found 'hello', expected a"),
    (
        {"target": "t", "fields": {"f": {"column": "t", "transform": "after_blank"}}},
        {"t": "a _ blank"},
        {"t": "no blank"},
        "field 'f', column 't': found 'no blank', expected what after_blank can rewrite (list "
        "index out of range); correct the row, or take another transform in the family's file",
    ),
]
KINDS = {"label": "classification", "messages": "chat", "target": "generation"}


@pytest.mark.parametrize(("description", "good", "bad", "sentence"), IN_ROWS)
def test_a_mistake_in_a_row(tmp_path, capsys, description, good, bad, sentence):
    """It is told with the file, and the row as it is counted there; the split begins later."""
    file = tmp_path / "x.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in (good, good, bad, good)))
    kind = next((kind for key, kind in KINDS.items() if key in description), "multiple_choice")
    dataset = {"files": {"s": str(file)}, "fields": {}, **description}
    spec = {"kind": kind, "dataset": dataset, "split": "s[2:]", "limit": None, "seed": 0}
    argv = ["--root", str(tmp_path), "--name", "own-test", "--output", "x", "--audit", "y"]
    assert prepare_split.main([*argv, "--spec", slice_file(tmp_path / "spec.json", spec)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {file}, row 3: {sentence}")


def test_a_split_without_rows_is_named():
    spec = {"kind": "chat", "dataset": {"repository": "a/b", "config": "c"}, "split": "s[9:]"}
    with pytest.raises(DatasetError) as refusal:
        prepare([], spec, "own-test")
    assert str(refusal.value) == (
        "own-test: split 's[9:]' of a/b (c) has no rows; name another in the family's file"
    )
