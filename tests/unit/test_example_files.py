"""The one reader of prepared examples."""

import pytest

from ptft.files import count_examples, read_all, read_examples, write_examples

ROWS = [{"example_id": "a", "gold": "naïve\u2028line"}, {"example_id": "b", "gold": "x\ny"}]


def test_examples_come_back_as_they_were_written(tmp_path):
    file = tmp_path / "test.jsonl"
    write_examples(ROWS, file)
    assert read_all(file) == ROWS
    assert list(read_examples(file, 1)) == ROWS[:1]
    assert count_examples(file) == 2


def test_a_file_that_holds_no_examples_or_others_is_named_with_its_line(tmp_path):
    file = tmp_path / "test.jsonl"
    file.write_text("")
    for read in (read_all, count_examples):
        with pytest.raises(ValueError, match="test.jsonl holds no examples"):
            read(file)
    file.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(ValueError, match="test.jsonl:2: no JSON: Expecting value"):
        read_all(file)
    file.write_text('{"a": 1}\n[1]\n')
    with pytest.raises(ValueError, match=r"test.jsonl:2: found '\[1\].*expected a JSON object"):
        read_all(file)
