"""Metrics: hand-computed values, and agreement with rouge_score itself."""

import subprocess
import sys

import pytest
from rouge_score.rouge_scorer import RougeScorer

from ptft.evaluation.metrics import ROUGE_TYPES, accuracy, example_scores, normalise_answer, rouge


def test_accuracy_counts_equal_texts():
    assert accuracy(["yes", "no", "2"], ["yes", "yes", "2"]) == {"accuracy": [1.0, 0.0, 1.0]}


def test_rouge_by_hand():
    # Two of three words in common, in order: precision 2/3, recall 2/3.
    result = rouge(["the cat sat"], ["the cat ran"])
    assert result["rougeL"] == pytest.approx([2 / 3])
    assert result["rouge2"] == pytest.approx([1 / 2])


def test_rouge_equals_rouge_score():
    said = ["A man is walking dogs.\nIt rains.", "", "nothing in common", "running runs"]
    gold = ["The man walks his dog.\nIt is raining.", "empty", "altogether different", "run"]
    scores = example_scores("generation", said, gold)
    scorer = RougeScorer(ROUGE_TYPES, use_stemmer=True)
    for row, (prediction, reference) in enumerate(zip(said, gold, strict=True)):
        expected = scorer.score(reference, prediction)
        for name in ROUGE_TYPES:
            column = "score" if name == "rougeL" else name
            assert scores[column][row] == expected[name].fmeasure


def test_exact_match_and_f1_follow_squad():
    scores = example_scores("generation", ["The cat!", "a black cat", ""], ["cat", "cat sat", "x"])
    assert scores["exact_match"] == [1.0, 0.0, 0.0]
    # "black cat" against "cat sat": one of two words in common either way.
    assert scores["f1"] == pytest.approx([1.0, 0.5, 0.0])


def test_answers_are_normalised():
    assert normalise_answer("The  Quick, brown fox!") == "quick brown fox"


def test_labels_are_scored_without_the_packages_that_take_seconds(repository):
    asked = (
        "import sys; from ptft.evaluation.metrics import example_scores; "
        "assert example_scores('classification', ['a'], ['a']) == {'score': [1.0]}; "
        "print([name for name in ('evaluate', 'datasets', 'rouge_score') if name in sys.modules])"
    )
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, cwd=repository / "scripts", capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
