"""Labels in the language in use."""

import pytest

from ptft import language


@pytest.fixture(autouse=True)
def english_after():
    yield
    language.use("en")


def test_labels_and_titles_in_a_language():
    language.use("ja", {"datasets": {"nli": "NLI の試験"}, "families": {"qa": "chance"}})
    assert language.used() == "ja" and language.label("chance") == "偶然水準"
    assert language.dataset("nli") == language.task("nli") == "NLI の試験"
    assert language.dataset("other") == "other"
    assert language.family("qa") == "偶然水準" and language.family("my_own") == "my own"
    assert language.metric("rougeL") == "ROUGE-L" and language.metric("mine") == "mine"


def test_a_task_has_a_title_of_its_own():
    language.use("en", {"datasets": {"nli": "NLI (matched)"}, "tasks": {"nli": "NLI"}})
    assert language.task("nli") == "NLI" and language.dataset("nli") == "NLI (matched)"
    assert language.label("chance") == "chance"


def test_unknown_language_and_label():
    with pytest.raises(ValueError, match=r"report language 'fr', expected one of \['en', 'ja'\]"):
        language.use("fr")
    language.use("ja")
    with pytest.raises(ValueError, match=r"ja.yaml: no translation of 'hello'; add it"):
        language.label("hello")
