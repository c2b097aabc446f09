"""Rewrites of texts, compared with what lm-evaluation-harness makes of the same text."""

from ptft.data.mapping import (
    hellaswag_query,
    wikihow,
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
