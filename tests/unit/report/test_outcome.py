"""The lines that a terminal gets of a report."""

from ptft.paths import Results
from ptft.report.outcome import first_items, outcome
from ptft.report.rst import plain, without_templates

PAGE = """Title
=====

A paragraph with * a star.

* Tuned on ``mnli``, *all* of **it**: +0.436.
  more

* `link`_ of {names}.

* third
"""


def test_items_are_text_without_marks():
    assert first_items(PAGE, 2) == ["Tuned on mnli, all of it: +0.436.", "link of {names}."]
    odd = "a*b* `c` \\ |d| .. raw:: html <b>"
    assert first_items(f"* {plain(odd)}", 1) == [odd]


def test_without_a_report_nothing_came_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = Results("s")
    assert outcome(results) == []
    page = tmp_path / results.front_page
    page.parent.mkdir(parents=True)
    page.write_text(without_templates(PAGE))
    assert outcome(results) == []
    (tmp_path / results.report).touch()
    assert outcome(results)[1:] == ["link of {names}.", "report: results/s/report.html"]
