"""The released scores through the whole workflow, in Japanese, and laid over a study."""

import json
import re
import shutil
import tarfile

import pytest

from tests.browser.conftest import browser  # noqa: F401  (a fixture)

from .conftest import make_clone

TOLD = ("tables/*", "figures/*.svg", "front_page.rst")
"""what a redrawn study has in common with the one that was run"""
LINK = b"Single examples, learned, forgotten or changed, with every answer: `examples.html`_.\n\n"
"""is not on the redrawn front page: an archive holds no single answers"""
# One worker, so that the published study is run once.
pytestmark = pytest.mark.xdist_group("published")


@pytest.fixture(scope="module")
def japanese(repository, tmp_path_factory):
    """A finished run of config/published.yaml in a bare clone, with `language: ja`."""
    clone = make_clone(repository, tmp_path_factory.mktemp("published") / "clone", "tiny")
    (clone.root / "study.yaml").write_text("report: {language: ja}\n")
    clone.study = "config/published.yaml study.yaml"
    clone.snakemake()
    return clone


def test_a_whole_study_in_japanese(japanese):
    results = japanese.root / "results/published"
    page = (results / "front_page.rst").read_text(encoding="utf-8")
    # Released values: base and tuned MNLI at both ends.
    assert "mnli（full、シード一つ）, mnli_matched, 0.354, 0.790, +0.436 (" in page
    # The paper's claim on formats, with the checkpoints' scatter in its interval.
    assert (
        "instruct, full、シード一つ, −0.085, −0.032, +0.013 (0.000 – 0.026), 0.049, 上昇する"
        in page
    )
    assert "事前学習が進むほど" in page
    assert "31 個のうち、多重比較の調整後に傾向を示すもの：0。" in page
    headings = re.findall(r"^(.+)\n-+$", page, re.M)
    assert headings[:2] == ["実行したこと", "事前学習だけで身につくこと"]
    assert "論文との違い" in headings and "数値の出所" in headings
    prose = [line for line in page.splitlines() if line.startswith("* ")]
    assert not [line for line in prose if not re.search(r"[぀-ヿ一-鿿]", line)]
    report = (results / "report.html").read_text(encoding="utf-8")
    for said in ("95 % 区間", "事前学習中のベーススコア", "書式"):  # caption, label, category
        assert json.dumps(said)[1:-1] in report, said
    table = (results / "tables/gains.html").read_text(encoding="utf-8")
    assert '<html lang="ja">' in table and "CSV でダウンロード" in table


@pytest.mark.parametrize("size", [(1400, 1000), (800, 1000), (390, 844)])
def test_its_front_page_shows_every_picture_without_a_click(japanese, browser, size):  # noqa: F811
    browser.size(*size)
    browser.open(japanese.root / "results/published/report.html")
    browser.driver.find_element("css selector", ".prose h1.title")
    shown = browser.pictures()
    assert len(shown) >= 6 and all(browser.seen(picture, size[0]) for picture in shown)
    assert browser.run("return document.documentElement.lang") == "ja"
    assert browser.errors() == [] and browser.outside() == []


def test_an_overlay_draws_two_figures_anew(japanese):
    assert japanese.planned() == []
    japanese.edit("study.yaml", "{language: ja}", "{language: ja, overlay: other}")
    missing = japanese.snakemake("-n", fails=True)
    assert "report.overlay: 'other' has no results/other/tables/base_scores.parquet" in missing
    japanese.edit("study.yaml", "overlay: other", "overlay: published")
    assert japanese.planned() == sorted(
        ["Draw base_scores", "Draw base_vs_tuned", "Put the report together"]
        + ["Write the findings", "Write the resolved study"]
    )
    figure = japanese.root / "results/published/figures/base_vs_tuned.svg"
    before = figure.read_bytes()
    japanese.snakemake(str(figure.relative_to(japanese.root)))
    assert figure.read_bytes() != before


def test_an_edited_translation_writes_its_pages_again(japanese):
    japanese.snakemake("--touch")
    japanese.edit("scripts/ptft/language/ja.yaml", '"hours": "時間"', '"hours": "所要時間"')
    planned = japanese.planned()
    assert "Write the findings" in planned and "Draw base_scores" in planned
    assert not [job for job in planned if "released" in job]


def test_a_finished_study_is_redrawn_from_its_archive(finished):
    """In a clone that has nothing else of it: no data, no model, no pin."""
    archive = "results/tiny/tiny.tar.gz"
    finished.snakemake("export")
    assert finished.messages(finished.snakemake("-n", "export")) == []
    with tarfile.open(finished.root / archive) as tar:
        names = set(tar.getnames())
    assert {"archive.json", "study.yaml", "front_page.rst", "tables/replicates.parquet"} <= names
    assert "figures/base_vs_tuned.svg" in names
    assert [name for name in names if name.startswith("export/model_cards/")]
    (finished.root / "tiny.tar.gz").write_bytes((finished.root / archive).read_bytes())
    before = finished.root / "results/before"
    (finished.root / "results/tiny").rename(before)
    shutil.rmtree(finished.root / "resources")
    (finished.root / "redraw.yaml").write_text("study: tiny\npublished: {archive: tiny.tar.gz}\n")
    finished.study = "redraw.yaml"
    results = finished.root / "results/tiny"
    figures = [f"results/tiny/figures/{name}.svg" for name in ("base_vs_tuned", "forgetting")]
    finished.snakemake(*figures, "results/tiny/front_page.rst", "tables")
    told = {path.relative_to(results) for part in TOLD for path in results.glob(part)}
    assert len(told) > 50
    changed = [
        str(path)
        for path in told
        if (results / path).read_bytes() != (before / path).read_bytes().replace(LINK, b"")
    ]
    assert changed == [] and LINK in (before / "front_page.rst").read_bytes()
    finished.edit("redraw.yaml", "tiny.tar.gz", "study.yaml")
    refused = finished.snakemake("-n", fails=True)
    assert "redraw.yaml:2: published.archive: study.yaml: not a whole .tar.gz file" in refused
