"""The released scores through the whole workflow, in Japanese, and laid over a study."""

import re
import shutil
import tarfile

import polars as pl
import pytest

from tests.browser.conftest import browser  # noqa: F401  (a fixture)

from .conftest import make_clone

TOLD = ("tables/*", "figures/*.svg")
"""what a redrawn study has in common with the one that was run"""
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
    page = (results / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ja">' in page and "論文との違い" in page and "数値の出所" in page
    findings = pl.read_parquet(results / "tables/findings.parquet")
    # Released values: base and tuned MNLI at both ends.
    mnli = findings.filter(kind="curve", dataset="mnli_matched", task="mnli").row(0, named=True)
    assert mnli["value"] == pytest.approx(0.436, abs=5e-4) and mnli["verdict"] == "rises"
    # The paper's claim on formats: a slope among others, with the checkpoints' scatter.
    claim = findings.filter(kind="format_claim").row(0, named=True)
    assert claim["value"] == pytest.approx(0.0132, abs=5e-5)
    assert claim["p"] == pytest.approx(0.598, abs=5e-4) and claim["verdict"] == "not shown"
    assert "論文の主張" in claim["sentence"]
    assert set(findings.filter(kind="format_trend")["verdict"]) == {"undecided"}
    said = findings["sentence"].drop_nulls()
    assert not [text for text in said if not re.search(r"[぀-ヿ一-鿿]", text)]
    assert "CSV でダウンロード" in page and "95 % 区間" in page


@pytest.mark.parametrize("size", [(1400, 1000), (800, 1000), (390, 844)])
def test_its_front_page_shows_every_picture_without_a_click(japanese, browser, size):  # noqa: F811
    browser.size(*size)
    browser.open(japanese.root / "results/published/report.html")
    shown = browser.pictures()
    assert len(shown) >= 6 and all(browser.seen(picture, size[0]) for picture in shown)
    assert browser.run("return document.documentElement.lang") == "ja"
    assert browser.errors() == [] and browser.outside() == []


def test_released_scores_are_exported_and_read_again(japanese):
    """A study that nobody ran is put into an archive as any other, and redrawn from it."""
    japanese.snakemake("export")
    (japanese.root / "again.yaml").write_text(
        "study: again\npublished: {archive: results/published/published.tar.gz}\n"
    )
    own, japanese.study = japanese.study, "again.yaml"
    japanese.snakemake("tables")
    japanese.study = own
    first, again = (japanese.root / f"results/{name}/tables" for name in ("published", "again"))
    for name in ("cells", "replicates", "gains", "forgetting"):
        assert (first / f"{name}.parquet").read_bytes() == (again / f"{name}.parquet").read_bytes()


def test_an_edited_translation_writes_its_pages_again(japanese):
    japanese.snakemake("--touch")
    japanese.edit("scripts/ptft/language/ja.yaml", '"hours": "時間"', '"hours": "所要時間"')
    planned = japanese.planned()
    assert "Write the report" in planned and "Draw figures of pretraining" in planned
    assert not [job for job in planned if "released" in job]


def test_a_finished_study_is_redrawn_from_its_archive(finished):
    """In a clone that has nothing else of it: no data, no model, no pin."""
    archive = "results/tiny/tiny.tar.gz"
    finished.snakemake("export")
    assert finished.messages(finished.snakemake("-n", "export")) == []
    with tarfile.open(finished.root / archive) as tar:
        names = set(tar.getnames())
    assert {
        "archive.json",
        "study.yaml",
        "report.html",
        "tables/findings.csv",
        "tables/replicates.parquet",
    } <= names
    assert "figures/base_vs_tuned.svg" in names
    (finished.root / "tiny.tar.gz").write_bytes((finished.root / archive).read_bytes())
    before = finished.root / "results/before"
    (finished.root / "results/tiny").rename(before)
    shutil.rmtree(finished.root / "resources")
    (finished.root / "redraw.yaml").write_text("study: tiny\npublished: {archive: tiny.tar.gz}\n")
    finished.study = "redraw.yaml"
    results = finished.root / "results/tiny"
    figures = [f"results/tiny/figures/{name}.svg" for name in ("base_vs_tuned", "forgetting")]
    finished.snakemake(*figures, "tables")
    told = {path.relative_to(results) for part in TOLD for path in results.glob(part)}
    assert len(told) > 50
    changed = [
        str(path) for path in told if (results / path).read_bytes() != (before / path).read_bytes()
    ]
    assert changed == []
    finished.edit("redraw.yaml", "tiny.tar.gz", "study.yaml")
    refused = finished.snakemake("-n", fails=True)
    assert "redraw.yaml:2: published.archive: study.yaml: not a whole .tar.gz file" in refused
