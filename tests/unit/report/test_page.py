"""The page of a study: what it shows of what is there, in which words; texts stay texts."""

import json
import re
from html import unescape
from itertools import product

import polars as pl
import pytest
from page_data import page_data

from ptft import language
from ptft.analysis.findings_of_study import FIRST_TO_READ
from ptft.figures import FIGURES
from ptft.figures.drawing import draw
from ptft.figures.style import save
from ptft.paths import Results
from ptft.report import page as pages
from ptft.report.outcome import outcome
from ptft.report.page import QUESTIONS, Progress
from ptft.report.rendering import METHODS, TEMPLATES, environment, inline_svg
from ptft.report.rows import FAILED, ROWS, TITLES

# What a description from someone else may hold.
HOSTILE = """</p><script>window.struck = 1</script><img src=x onerror="window.struck = 1">
{{ 7 * 191 }} {% raw %} {# x #} <!-- </style> &amp; `x` 'y' "z" """


def text_of(page):
    """The text that a reader of the page sees."""
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", "", page[page.index("<main") :], flags=re.S)
    return " ".join(unescape(re.sub("<[^>]*>", " ", body)).split())


def chapters(page):
    return re.findall(r'<section id="(\w+)"', page)


def test_every_question_that_the_study_can_answer_has_a_card_and_a_chapter(page_of, tmp_path):
    page = page_of()
    asked = ["taught", "added", "latent", "forgotten", "texts", "formats", "stopping"]
    assert [name for name in chapters(page) if name in asked] == asked
    assert "spared" not in chapters(page)  # one method
    assert [f'href="#{name}"' in page for name in asked] == [True] * len(asked)
    text = text_of(page)
    assert "Pre-training alone teaches 1 of 4 datasets" in text and "Most: quiz, +3" in text
    assert "tiny: 6 fine-tuned models (nli, story) from 3 checkpoints" in text
    assert "No findings" not in text
    table = pl.read_csv(tmp_path / "tables/findings.csv")
    said = table.filter(pl.col("sentence").is_not_null())
    told = said.filter(pl.col("kind") != "doubts")[
        "sentence"
    ]  # its card says it: nothing is flagged
    assert [sentence for sentence in told if sentence not in text] == []
    assert "Nothing flagged" in text
    assert {"taught", "added", "provenance", "deviations"} <= set(said["question"])
    tables = json.loads(page_data(page))
    assert (
        tables["gains"]["csv"].startswith("checkpoint,") and "tuned" in tables["gains"]["numbers"]
    )


def test_what_checkpoints_wrote_for_their_replay_is_shown_as_text(page_of, tmp_path):
    (tmp_path / "tables").mkdir()
    row = {
        "checkpoint": "main", "text": "bos-2x9-t1", "samples": 2, "tokens_mean": 7.4, "ended": 0.5,
        "repetition": 0.25, "duplicates": 0.0, "shown": json.dumps(["plain words", HOSTILE]),
    }  # fmt: skip
    pl.DataFrame([row]).write_parquet(tmp_path / "tables/self_text.parquet")
    page = page_of()
    text = text_of(page)
    assert "What the checkpoints wrote for their replay" in text
    assert "main bos-2x9-t1 2 7 50 25 0" in text and "plain words" in text
    assert "<script>window.struck" not in page


CHECKPOINTS, ARMS = ("step10", "step100", "main"), ("base", "full.nli.s0", "full.story.s0")
MODELS = [f"{checkpoint}/{arm}" for checkpoint, arm in product(CHECKPOINTS, ARMS)]
THERE = {
    "a first checkpoint": {model for model in MODELS if model.startswith("step10")},
    "bases": {model for model in MODELS if model.endswith("base")},
    "no base": {model for model in MODELS if not model.endswith("base")},
    "no last tuned": {*MODELS} - {"main/full.nli.s0", "main/full.story.s0"},
    "one task at the first, one at the last": {
        *("step10/base", "main/base", "step10/full.nli.s0", "main/full.story.s0")
    },
}


@pytest.mark.parametrize("name", THERE)
def test_a_study_in_progress_shows_what_is_there(page_of, name):
    model = pl.concat_str("checkpoint", "arm", separator="/")
    there = [tuple(model.split("/")) for model in sorted(THERE[name])]
    cells = pl.DataFrame({"checkpoint": [a for a, _ in there], "arm": [b for _, b in there]})
    progress = Progress(cells.with_columns(cells=4, of=8, missing=4), "2026-12-01 07:00")
    page = page_of(model.is_in(sorted(THERE[name])), progress=progress)
    text = text_of(page)
    assert f"In progress: {4 * len(there)} / {8 * len(there)} scores, 2026-12-01 07:00." in text
    based = {checkpoint for checkpoint, arm in there if arm == "base"}
    gains = {model for model in there if model[1] != "base" and model[0] in based}
    assert ("taught" in chapters(page)) == bool(based)
    assert ("added" in chapters(page)) == bool(gains)
    if len({checkpoint for checkpoint, _ in there}) == 1:
        assert not {"latent", "stopping"} & set(chapters(page))
        assert ("What does the base model know?" in text) == bool(based)


def test_the_base_model_of_a_single_checkpoint_is_told_beside_chance(page_of):
    text = text_of(page_of(pl.col("checkpoint") == "main", pl.col("arm") == "base"))
    assert "1 of 3 datasets with a chance level are above it" in text
    assert "Highest: quiz, 60 of 100 (" in text
    row = re.search(r"quiz 60 \(\d\d to \d\d\) (\d+) (\d+) above guessing", text)
    assert row.groups() == ("25", "25")
    assert re.search(r"story_in \d", text) and "fine-tuned per" not in text


def test_texts_of_a_study_stay_texts(page_of):
    language.use("en", {"datasets": {"quiz": HOSTILE}, "tasks": {"nli": "</nav>"}})
    page = page_of(study="<i>made</i>", description=HOSTILE)
    assert page.count("<script") == page.count("</script>") == 2 and "<img" not in page
    assert page.count("</style>") == 1 and "<!--" not in page and "1337" not in page
    assert text_of(page).count(" ".join(HOSTILE.split())) >= 2
    assert "Study <i>made</i>" in text_of(page)
    assert not re.search(r"(src|href)=\"(http|//)", page)


def test_a_page_in_japanese_has_all_its_sentences(page_of):
    language.use("ja")
    page = page_of()
    assert (
        '<html lang="ja">' in page and "事前学習だけで習得されるのは 4 データセットのうち 1" in page
    )


def macros(code, name):
    return set(re.findall(r"{% macro (\w+)\(([^)]*)\)", (TEMPLATES / code / name).read_text()))


@pytest.mark.parametrize("name", ["sentences.jinja", "pages.jinja"])
def test_both_languages_say_the_same(name):
    assert macros("en", name) == macros("ja", name)


def test_all_labels_have_their_translation():
    said = {question.title for question in QUESTIONS} | set(pages.ALONE.values())
    said |= set(TITLES.values()) | {head for columns in ROWS.values() for head, _ in columns}
    said |= (
        {spec.title for spec in FIGURES.values()} | set(FIRST_TO_READ) | set(pages.PAGES.values())
    )
    said |= {"classification", "generation", "learned", "not learned"}
    said |= {"rises", "falls", "flat", "undecided", "guessing", "starts below chance", "too low"}
    said |= {"two points", "above guessing", "below chance", "no chance level", "earlier"}
    said |= {"nothing to forget", "did not learn", FAILED, "label without gold", *METHODS.values()}
    for file in TEMPLATES.glob("*.jinja"):
        said |= {found[1] for found in re.findall(r"""label\((["'])(.+?)\1\)""", file.read_text())}
    assert len(said) > 100
    language.use("ja")
    for text in said:
        places = [set(re.findall(r"{\w+}", part)) for part in (text, language.label(text))]
        assert places[0] == places[1], text


def test_every_kind_of_finding_has_a_sentence_or_a_row_of_a_table(page_of, tmp_path):
    page_of()
    table = pl.read_csv(tmp_path / "tables/findings.csv")
    said = environment("en").globals["say"]
    for kind in table["kind"].unique():
        assert hasattr(said, kind) != (kind in ROWS), kind


def test_a_terminal_gets_the_first_answers(page_of, tmp_path, monkeypatch):
    page_of()
    monkeypatch.chdir(tmp_path)
    assert outcome(Results("s")) == []
    (tmp_path / "results/s").mkdir(parents=True)
    (tmp_path / "tables").rename(tmp_path / "results/s/tables")
    told = outcome(Results("s"))
    assert len(told) == 5 and told[0].startswith("Pre-training alone teaches 1 of 4 datasets")


def test_a_figure_tells_its_points_and_shares_no_id_with_another(tables, tmp_path):
    svg = tmp_path / "base_scores.svg"
    save(draw("base_scores", tables), svg, svg.with_suffix(".png"))
    markup, asked = inline_svg(svg, "first", "A <title>")
    assert asked and 'aria-label="A &lt;title&gt;"' in markup
    told = re.findall(r'class="point" role="img" aria-label="([^"]*)"', markup)
    rows = tables["base_scores"].sort("index")
    assert len(told) == len(rows)
    quiz = rows.filter(dataset="quiz").row(0, named=True)
    ends = f"({quiz['ci_low']:.3f} to {quiz['ci_high']:.3f}), n {quiz['n']}"
    assert f"quiz: {quiz['checkpoint']}: {quiz['value']:.3f} {ends}" in told
    other, _ = inline_svg(svg, "second", "")
    assert not set(re.findall(r'id="([^"]+)"', markup)) & set(re.findall(r'id="([^"]+)"', other))
    for name, text in (("first", markup), ("second", other)):
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
        assert used and set(used) <= set(re.findall(r'id="([^"]+)"', text)), name
