"""The page of single examples: what it tells, and that no text of a dataset is markup."""

import json
import math
import re

import example_study
import pytest
from page_data import page_data

import write_examples
from ptft.report.examples import cut, prompt


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_examples.main([*example_study.write(folder), "--output", str(folder / "examples.html")])
    return (folder / "examples.html").read_text()


@pytest.fixture(scope="module")
def data(page):
    return json.loads(page_data(page))


def test_no_text_of_a_dataset_ends_the_data(page):
    assert page.count("<script") == page.count("</script>") == 2
    assert "<!--" not in page and "\u2028" not in page and "\u2029" not in page
    assert "<img" not in page and "<iframe" not in page and '<html lang="en">' in page
    assert not re.search(r"(src|href)=\"(http|//)", page)


def test_cards_hold_prompts_answers_and_their_probabilities(data):
    assert data["checkpoints"] == ["step10", "main"] and data["tasks"] == ["nli"]
    assert [group["number"] for group in data["groups"]] == [0, 1, 2]
    group, task, checkpoint, dataset, row, answers = data["cards"][0]
    assert (group, task, dataset) == (0, 0, 0)
    example = data["rows"][dataset][row]
    number = int(example["prompts"]["default"].removeprefix("Text: ")[0])
    assert number % 2 == 1  # the base model knows the even ones
    hostile = example_study.HOSTILE[number]
    assert example["prompts"]["default"] == f"Text: {number} {hostile}\nAnswer:"
    assert "→" in data["datasets"][dataset]["shots"]["io"]
    assert example["gold"] == "yes"
    share = math.exp(-0.1) / (math.exp(-0.1) + math.exp(-2.5))
    wrong = ["no", 0.0, 0, round(share, 3), round(1 - share, 3), -2.5]
    right = ["yes", 1.0, 0, round(share, 3), round(share, 3), -0.1]
    assert [data["arms"][answer[0]] for answer in answers] == ["base", "full.nli.s0"]
    assert [answer[2:] for answer in answers] == [wrong, right]


def test_every_model_answers_the_same_examples(data):
    models = {
        (checkpoint, dataset, arm): answers for checkpoint, dataset, arm, answers in data["samples"]
    }
    assert len(models) == 2 * 3 * 3  # checkpoints, datasets, arms
    for checkpoint in range(2):
        for dataset in range(3):
            base, *tuned = (models[checkpoint, dataset, arm] for arm in range(3))
            assert len(base) == 6 and [len(answers) for answers in tuned] == [6, 6]
            assert all([row[0] for row in answers] == [row[0] for row in base] for answers in tuned)
    # The first answers are those of the cards: what the base model says, LoRA never says falsely.
    lora = models[0, 0, data["arms"].index("lora.nli.s0")]
    golds = [data["rows"][0][row[0]]["gold"] for row in lora]
    assert [row[2] for row in lora] == golds and {row[1] for row in lora} == {"default"}


def test_a_scored_example_that_the_split_lacks_is_named(tmp_path):
    arguments = example_study.write(tmp_path)
    split = tmp_path / "datasets/nli/test.jsonl"
    split.write_text("".join(split.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match=r"nli/test.jsonl: no example 'nli-test-0', which was"):
        write_examples.main([*arguments, "--output", str(tmp_path / "x.html")])


def test_a_prompt_of_partial_scoring_has_a_blank_and_long_texts_no_middle():
    example = {"fields": {"a": "The cup broke since"}, "continuation": "fell.", "choices": ["it"]}
    assert prompt("{a} {choice}", example) == "The cup broke since ____ fell."
    assert cut("x" * 9, 9) == "x" * 9
    assert cut("a" * 20 + "b" * 10, 9) == "aaaaaa […21…] bbb"


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_study_in_which_nothing_changes_has_a_page_that_says_so(tmp_path, language):
    import polars as pl

    arguments = example_study.write(tmp_path, language=language)
    cells = pl.read_parquet(tmp_path / "cells.parquet")
    cells.filter(arm="base").write_parquet(tmp_path / "cells.parquet")
    output = tmp_path / "x.html"
    write_examples.main([*arguments, "--output", str(output)])
    said = {"en": "No example changed.", "ja": "変化した例はない。"}[language]
    assert said in output.read_text() and f'<html lang="{language}">' in output.read_text()
