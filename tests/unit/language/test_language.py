"""Every phrase of figures and report has its translation, and the fonts to write it."""

import ast
import warnings

import pytest
import yaml

from ptft.analysis.tables.learning import FLAGS
from ptft.figures import FIGURES, draw
from ptft.language import use
from ptft.language.translation import FOLDER, languages, translator
from ptft.language.words import METRICS
from ptft.report.curve_findings import FORMAT_CLAIM, GAIN_CLAIM, GROUPS
from ptft.report.findings import VERDICTS


def phrases(path):
    """English phrases that a module says literally."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        said = called in ("translate", "words", "label") and node.args
        if said and isinstance(node.args[0], ast.Constant):
            yield node.args[0].value


@pytest.mark.parametrize("language", [name for name in languages() if name != "en"])
def test_every_phrase_is_translated_with_the_same_places(repository, language):
    translate = translator(language)
    library = repository / "scripts/ptft"
    modules = [*library.glob("figures/*.py"), *library.glob("report/*.py")]
    said = {phrase for module in modules for phrase in phrases(module)}
    said |= {spec.title for spec in FIGURES.values()}
    said |= {spec.category for spec in FIGURES.values()}
    said |= set(FLAGS) | set(FLAGS.values()) | set(VERDICTS.values())
    said |= {*GROUPS.values(), *GAIN_CLAIM, *FORMAT_CLAIM, *METRICS.values()}
    assert len(said) > 60

    def places(text):
        return {part.split("}")[0] for part in text.split("{")[1:]}

    for phrase in said:
        assert places(translate(phrase)) == places(phrase), phrase
    for name in FIGURES:
        assert (repository / f"workflow/report/{language}/{name}.rst").exists()


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_japanese_figures_have_all_their_glyphs(tables, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that no font has
        use("ja")
        figure = draw(name, tables)
        use("en")
        figure.draw_without_rendering()
    headline = "".join(text.get_text() for text in figure.texts)
    assert any(ord(letter) > 0x3000 for letter in headline)


def test_unknown_language_and_phrase():
    with pytest.raises(ValueError, match=r"report language 'fr', expected one of \['en', 'ja'\]"):
        translator("fr")
    with pytest.raises(ValueError, match="no translation of 'hello'"):
        translator("ja")("hello")
    assert translator("en")("hello") == "hello"
    assert len(yaml.safe_load((FOLDER / "ja.yaml").read_text())) > 60
