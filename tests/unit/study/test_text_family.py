"""Families of kind text: what is refused, and what they add to a study."""

import pytest
import yaml
from small_study import edit

from ptft.evaluation.cells import cells_of_plan
from ptft.study.slices import evaluation_slice, resolved_study, scored_slice, split_slice

NEWS = """\
kind: text
window: 64
datasets:
  news:
    files: {rows: rows.jsonl}
    splits: {train: "rows[:8]", test: "rows[8:]"}
    text: body
"""
FILE = "families/news.yaml"


@pytest.fixture
def files(files):
    """Folder of the small study with a dataset of text."""
    (files / FILE).write_text(NEWS)
    edit(files / "study.yaml", "pocket_facts]", "pocket_facts, news]")
    return files


MISTAKES = [
    (FILE, "    text: body\n", "", "4: datasets.news: `text` is missing; kind text needs it"),
    (FILE, "kind: text", 'kind: text\nformats: {default: "{text}"}', "2: formats: needed except"),
    (
        FILE,
        "text: body",
        'text: body\n    formats: {default: "{text}"}',
        "8: datasets.news.formats: not for a dataset of kind text: it has no prompts",
    ),
    (FILE, "text: body", "text: body\n    fields: {a: b}", "8: datasets.news.fields: not for a"),
    (FILE, 'test: "rows[8:]"', 'test: "rows[8:]", shots: rows', "6: datasets.news.splits.shots:"),
    (FILE, "kind: text", "kind: text\ntasks: {news: {dataset: news}}", "2: tasks.news: nothing is"),
    (FILE, "window: 64", "window: 1", "2: window = 1: expected greater"),
    (FILE, "window: 64", "window: 64\nstride: 65", "3: stride: found 65, expected at most the"),
    (FILE, "text: body", "text: body\n    window: 16\n    stride: 17", "9: datasets.news.stride:"),
    (
        FILE,
        "text: body",
        "text: {column: [a, b], transform: wikitext}",
        "7: datasets.news.text.column: transform 'wikitext' takes 1 texts, found 2",
    ),
    (
        "families/own.yaml",
        "kind: classification",
        "kind: classification\nwindow: 64",
        "2: window: not for a family of kind classification",
    ),
    (
        "study.yaml",
        "shots: [0, 2]",
        "shots: [0, 2]\n  family_shots: {news: [0]}",
        "16: evaluate.family_shots.news: family 'news' is of kind text, which has no prompts",
    ),
    (
        "study.yaml",
        "[pocket_nli, own, pocket_summary, pocket_facts, news]",
        "[news]",
        "13: evaluate.datasets: all are of kind text; add one with prompts, which most",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "sentence"), MISTAKES)
def test_a_mistake_in_a_family_of_text(files, refused, file, old, new, sentence):
    edit(files / file, old, new)
    assert refused().startswith(f"{file}:{sentence}")


def test_one_cell_whatever_the_formats_and_shots(files, read):
    edit(files / "study.yaml", "formats: [default, io]", "formats: [io]")
    edit(files / "study.yaml", "pocket_summary, pocket_facts", "pocket_summary")
    edit(files / "study.yaml", "evaluate:", "train_format: io\nanalysis: {format: io}\nevaluate:")
    edit(files / "study.yaml", "shots: [0, 2]", "shots: [2]")
    grid = read()
    assert [score for score in grid.scores() if score[0] == "news"] == [("news", "default", 0)]
    assert ("news", "test") in grid.splits() and ("news", "shots") not in grid.splits()
    [cell] = [cell for cell in cells_of_plan(evaluation_slice(grid)) if cell.dataset == "news"]
    assert (cell.kind, cell.template, cell.window, cell.stride) == ("text", "", 64, 64)
    assert split_slice(grid, "news", "test")["dataset"]["text"] == "body"
    assert scored_slice(grid, "news")["window_key"] == [[str(files / FILE)], ["window"]]


def test_a_window_of_its_own_decides_no_row(files, read):
    before = read()
    edit(files / FILE, "text: body", "text: body\n    window: 32\n    stride: 8")
    after = read()
    assert after.families["news"].windows("news") == (32, 8)
    assert split_slice(before, "news", "test") == split_slice(after, "news", "test")
    assert scored_slice(after, "news")["window_key"][1] == ["datasets", "news", "window"]


def test_text_changes_no_slice_of_other_datasets(files, read):
    """Nor do the new keys come into a study without text."""
    with_text = read()
    edit(files / "study.yaml", ", news]", "]")
    without = read()
    scored = evaluation_slice(with_text)["datasets"]
    assert scored.pop("news") and scored == evaluation_slice(without)["datasets"]
    told = yaml.safe_dump([evaluation_slice(without), resolved_study(without)])
    assert "window" not in told and "stride" not in told
