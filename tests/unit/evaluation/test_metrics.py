"""Metrics: hand-computed values, and agreement with rouge_score itself."""

import random
import string
import subprocess
import sys

import pytest
from rouge_score.rouge_scorer import RougeScorer

from ptft.evaluation.metrics import (
    ROUGE_TYPES,
    answer_words,
    example_scores,
    words,
)


def test_rouge_equals_rouge_score():
    said = ["A man is walking dogs.\nIt rains.", "", "nothing in common", "running runs"]
    gold = ["The man walks his dog.\nIt is raining.", "empty", "altogether different", "run"]
    signs = string.ascii_letters + string.digits + string.punctuation + " \n\t" * 12
    draw = random.Random(0)
    for texts in (said, gold):
        texts += ["".join(draw.choices(signs, k=120)) for _ in range(30)]
    scores = example_scores("generation", said, gold)
    scorer = RougeScorer(ROUGE_TYPES, use_stemmer=True)
    for row, (prediction, reference) in enumerate(zip(said, gold, strict=True)):
        expected = scorer.score(reference, prediction)
        for name in ROUGE_TYPES:
            column = "score" if name == "rougeL" else name
            assert scores[column][row] == expected[name].fmeasure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AIは 2020年に、便利!", ["ai", "は", "2020", "年", "に", "便", "利"]),
        ("भारत की राजधानी दिल्ली है।", ["भारत", "की", "राजधानी", "दिल्ली", "है"]),
        ("القاهرة، عاصمة مصر", ["القاهرة", "عاصمة", "مصر"]),
        ("Москва — столица РОССИИ.", ["москва", "столица", "россии"]),
        ("กรุงเทพ", ["ก", "รุ", "ง", "เ", "ท", "พ"]),
        ("cafe\u0301 CAFÉ ｃａｆé", ["café"] * 3),
        ("می\u200cخواهم ❤\ufe0f snake_case", ["میخواهم", "snake", "case"]),
        ("한국어 단어", ["한국어", "단어"]),
    ],
)
def test_words_of_every_script(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("said", "gold", "rouge_l", "f1"),
    [
        # One of 4 and of 6 words in common; of 4 and 6 tokens.
        ("AIが嫌い", "AIは便利です", 0.2, 0.2),
        ("東京は日本の首都です。", "東京は日本の首都です", 1.0, 1.0),
        ("भारत की राजधानी", "दिल्ली भारत की राजधानी है", 0.75, 0.75),
        ("القاهرة مدينة", "القاهرة عاصمة مصر", 0.4, 0.4),
        ("столица России", "Москва — столица России.", 0.8, 0.8),
    ],
)
def test_scores_of_other_scripts(said, gold, rouge_l, f1):
    scores = example_scores("generation", [said, gold], [gold, gold])
    assert scores["score"] == pytest.approx([rouge_l, 1.0])
    assert scores["f1"] == pytest.approx([f1, 1.0])
    assert scores["exact_match"] == [float(rouge_l == 1), 1.0]


def test_exact_match_and_f1_follow_squad():
    scores = example_scores("generation", ["The cat!", "a black cat", ""], ["cat", "cat sat", "x"])
    assert scores["exact_match"] == [1.0, 0.0, 0.0]
    # "black cat" against "cat sat": one of two words in common either way.
    assert scores["f1"] == pytest.approx([1.0, 0.5, 0.0])


def test_answers_are_normalised():
    assert answer_words("The  Quick, brown fox!") == ["quick", "brown", "fox"]
    assert answer_words("«L’été», l'An 2020—là") == ["lété", "lan", "2020là"]
    assert answer_words("「東京」 は、the city!") == ["東", "京", "は", "city"]


def test_labels_are_scored_without_the_packages_that_take_seconds(repository):
    asked = (
        "import sys; from ptft.evaluation.metrics import example_scores; "
        "assert example_scores('classification', ['a'], ['a']) == {'score': [1.0]}; "
        "print([name for name in ('evaluate', 'datasets', 'rouge_score') if name in sys.modules])"
    )
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, cwd=repository / "scripts", capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
