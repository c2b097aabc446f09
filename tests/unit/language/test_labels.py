"""Labels in the language in use."""

import ast
import warnings

import pytest

from ptft import language
from ptft.figures import FIGURES
from ptft.figures.drawing import draw


def test_labels_and_titles_in_a_language():
    language.use("ja", {"datasets": {"nli": "NLI の試験"}, "families": {"qa": "chance"}})
    assert language.used() == "ja" and language.label("chance") == "偶然水準"
    assert language.dataset("nli") == language.task("nli") == "NLI の試験"
    assert language.dataset("other") == "other"
    assert language.family("qa") == "偶然水準" and language.family("my_own") == "my own"
    assert language.metric("rougeL") == "ROUGE-L" and language.metric("mine") == "mine"


def test_unknown_language_and_label():
    with pytest.raises(ValueError, match=r"report language 'fr', expected one of \['en', 'ja'\]"):
        language.use("fr")
    language.use("ja")
    with pytest.raises(ValueError, match=r"ja.yaml: no translation of 'hello'; add it"):
        language.label("hello")


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_japanese_figures_have_all_their_labels_and_glyphs(tables, name):
    language.use("ja")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that no font has
        figure = draw(name, tables)
        figure.draw_without_rendering()
    headline = "".join(text.get_text() for text in figure.texts)
    assert any(ord(letter) > 0x3000 for letter in headline)


def test_every_label_of_the_code_is_translated(repository):
    """Also those that no made-up study needs."""
    library = repository / "scripts/ptft"
    said = {
        node.args[0].value
        for module in [*library.glob("figures/*.py"), *library.glob("report/*.py")]
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        and "label" in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    language.use("ja")
    assert len(said) > 60 and all(map(language.label, said))
