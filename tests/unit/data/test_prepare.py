"""Prepared splits from small files, with every count worked out by hand."""

import hashlib
import json

import polars as pl
import pytest
from slice_files import slice_file

from ptft.data.jsonl import read_examples
from ptft.data.prepare import RowError, Unlabelled, content_key, labelled_splits, prepare
from ptft.data.rows import DatasetError, read_rows, row_place, split_files

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


@pytest.mark.parametrize(
    ("value", "key"), [(True, True), ("TRUE", "true"), (True, "true"), (1, "1"), (1.0, 1), ("1", 1)]
)
def test_values_are_compared_as_text(value, key):
    table = {**NLI, "label": {"column": "label", "values": {key: "yes"}}}
    assert prepare([row(value)], spec(table), "x")[0][0]["gold"] == "yes"


def test_hidden_labels_are_refused():
    with pytest.raises(Unlabelled, match=r"no row of split 'test' .*\(2 rows: 2 with no gold"):
        prepare([row(-1), row(-1)], spec(NLI), "nli-test")


def test_an_unknown_label_names_the_row():
    message = "^column 'label': found 7, expected 0 or 1; add it to label.values in the family's"
    with pytest.raises(RowError, match=message) as refusal:
        prepare([row(0), row(7)], spec(NLI), "nli-test")
    assert refusal.value.number == 1


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


@pytest.mark.parametrize("value", ["nan", "inf", "high", 1e400])
def test_a_score_that_is_no_number_is_refused(value):
    scored = NLI | {"label": {"column": "label", "above": 2.5, "names": ["no", "yes"]}}
    with pytest.raises(
        DatasetError, match="^column 'label': found .*, expected a (text or a )?number"
    ):
        prepare([row(value)], spec(scored), "x")


def test_a_missing_column_lists_those_that_are_there():
    message = "^field 'premise', column 'text_a': found no such column, expected one of premise, l"
    with pytest.raises(DatasetError, match=message):
        prepare([{"premise": "a", "label": 0}], spec(NLI), "x")


def test_no_rows_are_refused():
    with pytest.raises(DatasetError, match="has no rows"):
        prepare([], spec(NLI), "x")


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


def test_a_field_of_several_columns():
    columns = ["activity", "begun", "open"]
    query = {"column": columns, "transform": "hellaswag_query"}
    spec = choice(fields={"question": query}, choices="o", answer={"index": 0})
    row = {"activity": "Tea", "begun": "Water boils.", "open": "she", "o": ["pours", "sits"]}
    assert prepare([row], spec, "x")[0][0]["fields"] == {"question": "Tea: Water boils. She"}


def test_a_row_with_an_empty_choice_is_dropped():
    rows = [{"q": "?", "o": ["a", " "], "a": 0}, {"q": "?", "o": ["a", "b"], "a": 0}]
    _, audit = prepare(rows, choice(choices="o", answer={"column": "a"}), "x")
    assert (audit["kept"], audit["dropped"]) == (1, {"empty choice": 1})


def test_an_answer_beyond_the_choices_is_refused():
    with pytest.raises(DatasetError, match="found 2, which is choice 2, expected one of"):
        prepare(
            [{"q": "?", "o": ["a", "b"], "a": 2}], choice(choices="o", answer={"column": "a"}), "x"
        )


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


def test_content_ignores_id_and_gold():
    one = {"example_id": "a", "fields": {"x": "1", "y": "2"}, "gold": "yes"}
    two = {"example_id": "b", "fields": {"y": "2", "x": "1"}, "gold": "no"}
    assert content_key(one) == content_key(two)
    assert content_key(one) != content_key({**one, "choices": ["1"]})


# Reading ---------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    """A root in the Hub's layout: a split in two files, one in the converted branch's layout."""
    folder = tmp_path / "datasets/someone/nli/default"
    (folder / "extra").mkdir(parents=True)
    frame = pl.DataFrame([row(n % 2, a=str(n)) for n in range(6)])
    frame[:4].write_parquet(folder / "train-00000-of-00002.parquet")
    frame[4:].write_parquet(folder / "train-00001-of-00002.parquet")
    frame.with_columns(label=pl.lit(-1)).write_parquet(folder / "test-00000-of-00001.parquet")
    frame[:1].write_parquet(folder / "extra/0000.parquet")
    return tmp_path


def test_read_rows_in_the_hub_layout(root):
    assert [r["text_a"] for r in read_rows(root, NLI, "train")] == list("012345")
    assert [r["text_a"] for r in read_rows(root, NLI, "train[4:]")] == ["4", "5"]
    assert [r["text_a"] for r in read_rows(root, NLI, "extra")] == ["0"]


def test_a_missing_split_lists_those_that_are_there(root):
    with pytest.raises(DatasetError, match=r"no split 'dev' of someone/nli \(default\).*extra, "):
        read_rows(root, NLI, "dev")


def test_labelled_splits_are_found(root):
    assert labelled_splits(root, spec(NLI)) == {"extra": 1, "train": 6}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_read_rows_of_files(tmp_path, kind):
    frame = pl.DataFrame([row("yes", a="one, two"), row("no")])
    file = tmp_path / f"dev.{kind}"
    {"jsonl": frame.write_ndjson, "csv": frame.write_csv, "parquet": frame.write_parquet}[kind](
        file
    )
    rows = read_rows(tmp_path, {"files": {"dev": str(tmp_path / "d*")}}, "dev[:1]")
    assert rows == [row("yes", a="one, two")]


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.jsonl", "does not exist"), ("x.txt", "end in .txt; expected one of .parquet")],
)
def test_files_that_cannot_be_read(tmp_path, name, message):
    if name.endswith("txt"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DatasetError, match=message):
        read_rows(tmp_path, {"files": {"dev": str(tmp_path / name)}}, "dev")


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "x.jsonl").write_text("{not json")
    with pytest.raises(DatasetError, match="x.jsonl:1: found no JSON object"):
        read_rows(tmp_path, {"files": {"dev": str(tmp_path / "x.jsonl")}}, "dev")
    assert split_files(tmp_path, {"files": {"dev": "y"}}) == {"dev": ["y"]}


def test_prepare_split_writes_examples_and_audit(root):
    import prepare_split

    out, audit = root / "train.jsonl", root / "audit.json"
    argv = ["--root", str(root), "--name", "nli-train", "--output", str(out), "--audit", str(audit)]
    prepare_split.main([*argv, "--spec", slice_file(root / "s.json", spec(NLI, split="train"))])
    assert len(list(read_examples(out))) == 6
    assert json.loads(audit.read_text())["gold"] == {"no": 3, "yes": 3}


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


def test_digest_splits_changes_with_a_splits_content_alone(tmp_path):
    import digest_splits

    splits = slice_file(tmp_path / "s.json", [["nli", "shots"], ["nli", "test"]])
    argv = ["--splits", splits, "--data", str(tmp_path), "--output", str(tmp_path / "out.json")]
    (tmp_path / "nli").mkdir()
    found = []
    for content in (b"{}", b"{}", b"[]"):
        (tmp_path / "nli/shots.jsonl").write_bytes(b"")
        (tmp_path / "nli/test.jsonl").write_bytes(content)
        digest_splits.main(argv)
        found.append(json.loads((tmp_path / "out.json").read_text()))
    assert found[0] == found[1] != found[2]
    # SHA-256 of no byte, then of name and that
    inner = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    expected = hashlib.sha256(f"shots.jsonl\0{inner}\0".encode()).hexdigest()
    assert [digests["nli/shots"] for digests in found] == [expected] * 3


def test_prepare_split_says_which_splits_have_labels(root):
    import prepare_split

    argv = ["--root", str(root), "--name", "nli-test", "--output", "x", "--audit", "y"]
    with pytest.raises(SystemExit) as refusal:
        prepare_split.main([*argv, "--spec", slice_file(root / "s.json", spec(NLI))])
    assert "hidden test labels are published as -1" in str(refusal.value)
    assert "Splits here that have labels: extra (1 rows), train (6 rows)" in str(refusal.value)


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
