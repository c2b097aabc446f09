"""Rewrites of texts, compared with what lm-evaluation-harness makes of the same text."""

from ptft.data.mapping import (
    after_blank,
    before_blank,
    hellaswag_query,
    lower_first,
    wikihow,
    without_last_mark,
)


def test_wikihow_marks_are_removed():
    text = "How to dry cranberries [header] Choosing [title] Buy them. [step] Go  on."
    assert wikihow(text) == "How to dry cranberries Choosing. Buy them. Go on."


def test_hellaswag_is_cleaned_as_a_whole():
    assert hellaswag_query("Home", "[header] How to dry plums [title] Buy them.", "") == (
        "Home: How to dry plums. Buy them."
    )
    assert hellaswag_query("Skating", "Two girls skate.", "one GIRL") == (
        "Skating: Two girls skate. One girl"
    )


def test_copa_sentences_are_joined():
    premise = without_last_mark("The man turned on the faucet. ")
    choice = lower_first("Water flowed from the spout.")
    assert f"{premise} therefore {choice}" == (
        "The man turned on the faucet therefore water flowed from the spout."
    )


def test_blank_divides_a_sentence():
    sentence = "Sarah was better than Maria so _ got the easier cases."
    assert before_blank(sentence) == "Sarah was better than Maria so "
    assert after_blank(sentence) == "got the easier cases."
