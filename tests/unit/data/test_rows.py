"""Rows as they stand in files: values by hand, and the sentence that answers each mistake."""

import datetime
import decimal
import gzip
import json

import datasets
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from slice_files import slice_file

from ptft.data.mapping import used_columns
from ptft.data.prepare import prepare
from ptft.data.rows import (
    DatasetError,
    bounds,
    may_overlap,
    read_rows,
    row_place,
    split_files,
)

NLI = {
    "repository": "someone/nli",
    "config": "default",
    "fields": {"premise": "text_a", "hypothesis": "text_b"},
    "label": {"column": "label", "values": {0: "yes", 1: "no"}},
}
TEXTS = {"fields": {"x": "q"}, "target": "a"}


def spec(dataset: dict, kind: str = "classification", **changes) -> dict:
    return {"kind": kind, "dataset": dataset, "split": "test", "limit": None, "seed": 0, **changes}


def prepared(file, content, description=TEXTS, kind="generation", split="s"):
    """Examples and audit of a file, prepared as the workflow does."""
    if isinstance(content, pa.Table):
        pq.write_table(content, file)
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    dataset = {"files": {"s": str(file)}, **description}
    rows = read_rows(file.parent, dataset, split, used_columns(dataset))
    return prepare(rows, spec(dataset, kind, split=split), "x")


def golds(file, content, **options) -> list:
    return [example["gold"] for example in prepared(file, content, **options)[0]]


# A value is the text that stands in the file ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.csv", "q,a\nzip,00501\nagent,007\nversion,3.10\n", ["00501", "007", "3.10"]),
        (
            "x.csv",
            "q,a\na,None\nb,NA\nc,nan\nd,n/a\ne,null\n",
            ["None", "NA", "nan", "n/a", "null"],
        ),
        ("x.csv", "q,a\na,2020-01-05\nb,true\nc,1999\n", ["2020-01-05", "true", "1999"]),
        ("x.csv", 'q,a\na,"one, ""two""\nthree"\n', ['one, "two"\nthree']),
        ("x.csv", f"q,a\na,{'long ' * 40_000}end\n", ["long " * 40_000 + "end"]),
        ("x.jsonl", '{"q":"a","a":"2020-01-05"}\n{"q":"b","a":"007"}\n', ["2020-01-05", "007"]),
        (
            "x.jsonl",
            '{"q":1,"a":3.10}\n{"q":2,"a":12345678901234567890}\n{"q":3,"a":1e5}\n{"q":4,"a":true}',
            ["3.10", "12345678901234567890", "1e5", "true"],
        ),
        ("x.json", '[{"q": "a",\n "a": "00"},\n {"q": "b", "a": 1.50}]\n', ["00", "1.50"]),
        ("x.json", '{"q": "a", "a": "x"}\n{"q": "b", "a": "y"}\n', ["x", "y"]),
        ("x.json", '{"q": "a", "a": "x"}', ["x"]),
        ("x.jsonl", '{"q":"a","a":"one\u2028two\u0085"}\n\n{"q":"b"}\n', ["one\u2028two"]),
    ],
)
def test_texts_are_those_of_the_file(tmp_path, name, content, expected):
    assert golds(tmp_path / name, content) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([0.1, 3.0, 1e-7], pa.float32()), ["0.1", "3.0", "1e-07"]),
        (pa.array([0.1, 1999.0], pa.float64()), ["0.1", "1999.0"]),
        (pa.array(np.array([0.1], np.float16)), ["0.1"]),
        (pa.array([7, None, 9]), ["7", "9"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([decimal.Decimal("3.10")]), ["3.10"]),
        (pa.array([datetime.date(2020, 1, 5)]), ["2020-01-05"]),
        (pa.array(["00501", "None"]).dictionary_encode(), ["00501", "None"]),
    ],
)
def test_parquet_keeps_its_types(tmp_path, values, expected):
    table = pa.table({"q": ["?"] * len(values), "a": values})
    assert golds(tmp_path / "x.parquet", table) == expected


def test_short_floats_inside_lists_and_structs_are_those_that_were_written(tmp_path):
    kind = pa.struct([("scores", pa.list_(pa.float32()))])
    table = pa.table({"q": ["a", "b"], "a": pa.array([{"scores": [0.1, 0.7]}, None], kind)})
    options = {"description": {**TEXTS, "target": "a.scores.1"}}
    assert golds(tmp_path / "x.parquet", table, **options) == ["0.7"]


def test_no_piece_of_a_file_decides_for_itself(tmp_path):
    """A text column of digits alone for 10,000 rows, then words."""
    values = [f"{number:05}" for number in range(10_000)] + ["word", "007"]
    for name, line in (("x.csv", "q,{}\n"), ("x.jsonl", '{{"q": "q", "a": "{}"}}\n')):
        head = "q,a\n" if name == "x.csv" else ""
        content = head + "".join(line.format(value) for value in values)
        assert golds(tmp_path / name, content) == values


def test_gaps_in_a_column_of_numbers_change_no_number(tmp_path):
    content = "q,year,a\nwho,1999,x\nwhat,,y\nwhere,2004,z\n"
    description = {"fields": {"x": "year"}, "target": "a"}
    examples, audit = prepared(tmp_path / "x.csv", content, description)
    assert [example["fields"]["x"] for example in examples] == ["1999", "", "2004"]
    assert audit["empty_fields"] == 1


def test_columns_that_nobody_reads_stop_nothing(tmp_path):
    rows = [{"q": "a", "a": "x", "z": 1}, {"q": "b", "a": "y", "z": {"deep": [1e999]}}]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    assert golds(tmp_path / "x.jsonl", content) == ["x", "y"]
    assert golds(tmp_path / "x.csv", "z,q,z,a\n1,a,2,x\n") == ["x"]
    table = pa.table({"q": ["a"], "a": ["x"], "z": [b"\xff\x00"]})
    assert golds(tmp_path / "x.parquet", table) == ["x"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"text": "red"}, "{'text': 'red'}, expected a text and not a struct; say which part"),
        (["red"], "['red'], expected a text and not a list; say which entry of it, as a.0,"),
        (b"red", "b'red', expected a text and not bytes; name another column than a"),
    ],
)
def test_what_is_no_text_is_refused_by_its_column(tmp_path, value, found):
    table = pa.table({"q": ["?"], "a": [value]})
    with pytest.raises(DatasetError) as refusal:
        prepared(tmp_path / "x.parquet", table)
    assert str(refusal.value).startswith(f"column 'a': found {found}")


CHOICES = [{"text": "red", "label": "A"}, {"text": "blue", "label": "B"}]


def test_choices_that_are_structs_are_refused_or_taken_by_their_part(tmp_path):
    file, row = tmp_path / "x.jsonl", json.dumps({"q": "which", "choices": CHOICES, "y": "B"})
    whole = {
        "fields": {"x": "q"},
        "choices": "choices",
        "answer": {"column": "y", "among": "choices.label"},
    }
    with pytest.raises(DatasetError, match="column 'choices': found {'text': 'red', 'label'"):
        prepared(file, row, whole, "multiple_choice")
    texts = {**whole, "choices": "choices.text"}
    [example], _ = prepared(file, row, texts, "multiple_choice")
    assert (example["choices"], example["gold"]) == (["red", "blue"], 1)


def test_rows_without_an_answer_are_dropped_and_counted(tmp_path):
    answers = [{"text": []}, {"text": ["in town"]}, {}, None, {"text": ["by car", "on foot"]}]
    content = "".join(json.dumps({"q": "where", "answers": a}) + "\n" for a in answers)
    options = {"description": {**TEXTS, "target": "answers.text.0"}}
    examples, audit = prepared(tmp_path / "x.jsonl", content, **options)
    assert [example["gold"] for example in examples] == ["in town", "by car"]
    assert audit["dropped"] == {"empty target": 3}
    second = {"description": {**TEXTS, "target": "answers.text.1"}}
    with pytest.raises(
        DatasetError, match="'answers.text.1': found a list of 1, expected one of 0 "
    ):
        prepared(tmp_path / "x.jsonl", content, **second)


# Labels -------------------------------------------------------------------------------------------


def labelled(tmp_path, values, table, rest="yes"):
    content = "".join(json.dumps({"q": "t", "y": value}) + "\n" for value in values)
    description = {"fields": {"x": "q"}, "label": {"column": "y", "values": table}}
    return prepared(tmp_path / "x.jsonl", content, description, "classification")


@pytest.mark.parametrize(
    ("values", "table", "expected"),
    [
        ([-1, 0, 1], {-1: "no", 0: "maybe", 1: "yes"}, ["no", "maybe", "yes"]),
        (["None", "all"], {"None": "no", "all": "yes"}, ["no", "yes"]),
        (["-", "+"], {"-": "no", "+": "yes"}, ["no", "yes"]),
        (["", "x"], {"": "no", "x": "yes"}, ["no", "yes"]),
        ([True, False], {True: "yes", False: "no"}, ["yes", "no"]),
        ([1.0, 0], {1: "yes", 0: "no"}, ["yes", "no"]),
    ],
)
def test_a_value_that_is_named_is_a_label(tmp_path, values, table, expected):
    examples, audit = labelled(tmp_path, values, table)
    assert [example["gold"] for example in examples] == expected
    assert (audit["dropped"], audit["warnings"]) == ({}, [])


def test_an_answer_that_is_named_is_one(tmp_path):
    row = {"q": "?", "a": "None", "c": ["All", "None"]}
    description = {"fields": {"x": "q"}, "choices": "c", "answer": {"column": "a", "among": "c"}}
    [example], _ = prepared(tmp_path / "x.jsonl", json.dumps(row), description, "multiple_choice")
    assert example["gold"] == 1


def test_an_unnamed_word_is_no_hidden_label(tmp_path):
    with pytest.raises(DatasetError, match="column 'y': found 'None', expected a or b; add it to"):
        labelled(tmp_path, ["a", "None"], {"a": "no", "b": "yes"})


def test_many_dropped_rows_are_told_by_what_stands_there(tmp_path):
    values = [-1] * 3 + [None, "-"] + ["a", "b"] * 5
    _, audit = labelled(tmp_path, values, {"a": "no", "b": "yes"})
    assert audit["dropped"] == {"no gold label": 5}
    assert audit["warnings"] == [
        "5 of 15 rows (33%) are dropped: 3 with no gold label, found -1; 1 with no gold label, "
        "found None; 1 with no gold label, found '-'"
    ]
    _, audit = labelled(tmp_path, [-1] + ["a", "b"] * 10, {"a": "no", "b": "yes"})
    assert (audit["dropped"], audit["warnings"]) == ({"no gold label": 1}, [])


def test_rows_of_one_label_are_told(tmp_path):
    _, audit = labelled(tmp_path, ["a"] * 4, {"a": "no", "b": "yes"})
    assert audit["warnings"] == ["all 4 rows have the label 'no': there is nothing to tell apart"]


# Files --------------------------------------------------------------------------------------------

ROW = '{"q": "a", "a": "é"}\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", b"\xef\xbb\xbf" + ROW.encode()),
        ("x.csv", b"\xef\xbb\xbfq,a\r\na,\xc3\xa9\r\n"),
        ("x.jsonl.gz", gzip.compress(ROW.encode(), mtime=0)),
        ("x.csv.gz", gzip.compress("q,a\na,é\n".encode(), mtime=0)),
        ("x.json.gz", gzip.compress(f"[{ROW}]".encode(), mtime=0)),
        ("[v1] rows.jsonl", ROW.encode()),
        ("{x} *.jsonl", ROW.encode()),
    ],
)
def test_marks_packed_files_and_odd_names_are_read(tmp_path, name, content):
    assert golds(tmp_path / name, content) == ["é"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", "q,a\né,x\n".encode("latin-1"), " is not text in UTF-8: found the byte 0xe9;"),
        ("x.jsonl", ROW.encode("utf-16"), " is not text in UTF-8: found the byte 0xff;"),
        ("x.csv", "q,a,a\n1,2,3\n", ": found 2 columns named 'a', expected one; rename the others"),
        ("x.csv", "q,a\n1,2\nq,a\n", ":3: found the line of column names again, expected values"),
        ("x.csv", "q,a\n1,2\n1,2,3\n", ":3: found 3 values, expected 2 (q, a); put a value that"),
        ("x.csv", 'q,a\n"1"x,2\n', ":2: found no CSV: ',' expected after '\"'"),
        ("x.jsonl", '{"q": 1, "a": 2, "q": 3}', ":1: found the name 'q' twice in an object"),
        ("x.jsonl", '{"q": 1}\n{"a": 2\n', ":2: found no JSON object: Expecting ',' delimiter"),
        ("x.jsonl", "[1]\n", ":1: found a list, expected a JSON object"),
        ("x.jsonl", "[" * 99_999, ":1: found JSON nested too deeply"),
        ("x.json", '[{"q": 1},\n {"q": 2]\n', ":2: found no JSON object: Expecting ',' delimiter"),
        ("x.json", "[1, 2]\n", ", row 1: found '1', expected a JSON object"),
        ("x.jsonl.gz", b"\x1f\x8b no gzip", " is no whole gzip file"),
        ("x.csv.gz", gzip.compress(b"q,a\n1,2\n", mtime=0)[:-9], " is no whole gzip file"),
        ("x.parquet", "no parquet", " can't be read: Parquet magic bytes not found in footer"),
        ("x.csv", "", " is empty; expected rows"),
        ("x.jsonl", '{"q": 1, "b": 2}', ": column 'a': found no such column, expected one of q, b"),
        ("x.csv", "q;a\n1;2\n", ": column 'a': found no such column, expected one of q;a;"),
        ("x.txt", "x", ": found a file that ends in .txt; expected one of .parquet, .jsonl, .json"),
        ("x.parquet.gz", "x", ": found a file that ends in .gz; expected one of .parquet, .jsonl"),
    ],
)
def test_a_file_that_is_not_read_says_why(tmp_path, name, content, sentence):
    file = tmp_path / name
    with pytest.raises(DatasetError) as refusal:
        prepared(file, content)
    assert str(refusal.value).startswith(f"{file}{sentence}")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match="x.jsonl does not exist"):
        read_rows(tmp_path, {"files": {"s": str(tmp_path / "x.jsonl")}}, "s")
    assert split_files(tmp_path, {"files": {"s": "y"}}) == {"s": ["y"]}


@pytest.mark.parametrize(
    ("name", "content", "split"),
    [("x.jsonl", "\n\n", "s"), ("x.csv", "a,b\n", "s"), ("x.jsonl", '{"a": 1}\n', "s[1:]")],
)
def test_a_split_without_rows_has_none(tmp_path, name, content, split):
    """Which `ptft.data.prepare.prepare` refuses, naming the split."""
    (tmp_path / name).write_text(content)
    assert read_rows(tmp_path, {"files": {"s": str(tmp_path / name)}}, split, ["a"]) == []


def test_files_of_a_pattern_are_read_in_order(tmp_path):
    (tmp_path / "part-2.csv").write_text("q,a\nc,3\n")
    (tmp_path / "part-1.jsonl").write_text('{"q": "a", "a": 1}\n{"q": "b"}\n')
    description = {"files": {"s": str(tmp_path / "part-*")}}
    rows = read_rows(tmp_path, description, "s")
    assert rows == [{"q": "a", "a": "1"}, {"q": "b", "a": None}, {"q": "c", "a": "3"}]
    assert row_place(tmp_path, description, "s", 2) == f"{tmp_path}/part-2.csv, row 1"


# Splits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [0, 1, 7, 64, 1001])
@pytest.mark.parametrize(
    "part",
    [
        "",
        "[:5]",
        "[3:]",
        "[2:6]",
        "[-2:]",
        "[:-3]",
        "[-5:-1]",
        "[:50%]",
        "[33%:]",
        "[10%:95%]",
        "[-25%:]",
    ],
)
def test_parts_are_those_of_the_library_whose_notation_it_is(part, total):
    named = [int(number) for number in "".join(c if c.isdecimal() else " " for c in part).split()]
    if "%" in part or max(named, default=0) <= total:
        [asked] = datasets.ReadInstruction.from_spec(f"s{part}").to_absolute({"s": total})
        assert bounds(f"s{part}", total) == (asked.from_, asked.to)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("train", "test", False),
        ("train", "train", True),
        ("train[:8]", "train[8:]", False),
        ("train[:8]", "train[7:9]", True),
        ("train[8:]", "train", True),
        ("train[:10%]", "train[10%:]", False),
        ("train[:10%]", "train[10:]", True),  # it depends on how many there are
        ("train[:10]", "train[-10:]", True),
    ],
)
def test_overlap_is_told_where_it_is_possible(one, other, expected):
    assert may_overlap(one, other) == may_overlap(other, one) == expected


def test_a_part_beyond_the_end_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="names rows beyond the end: split 's' has 1; change"):
        prepared(tmp_path / "x.jsonl", ROW, split="s[:5]")


@pytest.fixture
def root(tmp_path):
    """A root in the Hub's layout: a split in two files, one in the converted branch's layout."""
    folder = tmp_path / "datasets/someone/nli/default"
    (folder / "extra").mkdir(parents=True)
    rows = [{"text_a": str(n), "text_b": "b", "label": n % 2} for n in range(6)]
    frame = pl.DataFrame(rows)
    frame[:4].write_parquet(folder / "train-00000-of-00002.parquet")
    frame[4:].write_parquet(folder / "train-00001-of-00002.parquet")
    frame.with_columns(label=pl.lit(-1)).write_parquet(folder / "test-00000-of-00001.parquet")
    frame[:1].write_parquet(folder / "extra/0000.parquet")
    return tmp_path


def test_the_hub_layout(root):
    assert [r["text_a"] for r in read_rows(root, NLI, "train")] == list("012345")
    assert read_rows(root, NLI, "train[4:]", ["text_a"]) == [{"text_a": "4"}, {"text_a": "5"}]
    assert [r["text_a"] for r in read_rows(root, NLI, "extra")] == ["0"]
    with pytest.raises(DatasetError, match=r"no split 'dev' of someone/nli \(default\).*extra, "):
        read_rows(root, NLI, "dev")


@pytest.mark.parametrize(
    ("split", "number", "place"),
    [
        ("train", 3, "train-00000-of-00002.parquet, row 4"),
        ("train", 4, "train-00001-of-00002.parquet, row 1"),
        ("train[1:]", 4, "train-00001-of-00002.parquet, row 2"),
        ("train[50%:]", 0, "train-00000-of-00002.parquet, row 4"),
        ("train[-2:]", 1, "train-00001-of-00002.parquet, row 2"),
    ],
)
def test_a_row_is_found_again(root, split, number, place):
    folder = root / "datasets/someone/nli/default"
    assert row_place(root, NLI, split, number) == f"{folder}/{place}"


# The program --------------------------------------------------------------------------------------


def run(root, split, out, audit, **changes):
    import prepare_split

    argv = ["--root", str(root), "--name", f"nli-{split}", "--output", str(out)]
    content = spec({**NLI, **changes}, split=split)
    argv += ["--audit", str(audit), "--spec", slice_file(root / "s.json", content)]
    prepare_split.main(argv)


def test_prepare_split_writes_examples_and_audit_and_tells_warnings(root, capsys):
    out, audit = root / "train.jsonl", root / "audit.json"
    run(root, "train", out, audit)
    assert len(out.read_text().splitlines()) == 6
    assert json.loads(audit.read_text())["gold"] == {"no": 3, "yes": 3}
    assert capsys.readouterr().out == ""
    run(root, "train", out, audit, label={"column": "label", "values": {0: "yes", 1: "yes"}})
    [warning] = json.loads(audit.read_text())["warnings"]
    assert capsys.readouterr().out == f"nli-train: {warning}\n"


def test_hidden_labels_are_refused(root, capsys):
    run(root, "test", "x", "y")
    assert "hidden test labels are published as -1" in capsys.readouterr().err
