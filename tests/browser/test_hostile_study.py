"""The report of a study from someone else: nothing of it runs, nothing is read into it."""

import os

import polars as pl
import pytest
import yaml

from tests.workflow.conftest import finished  # noqa: F401  (a fixture)

pytestmark = pytest.mark.xdist_group("browser")
DESCRIPTION = """A study.

.. include:: secret.txt

.. raw:: html

   <script>window.struck = "raw"</script>

.. csv-table:: stolen
   :file: secret.txt

.. image:: secret.txt

`press <javascript:window.struck='link'>`_ {{ cycler.__init__.__globals__.os.getcwd() }}
{% for x in [] %} <img src=x onerror="window.struck='markup'">"""


def struck(by: str) -> str:
    """Text that ends a script and begins its own."""
    return f'</script><script>window.struck = "{by}"</script><!--<script>'


def make_hostile(clone) -> None:
    """Make a finished study hostile, and its report again."""
    root = clone.root
    (root / "secret.txt").write_text("the secret of this machine")
    study = yaml.safe_load((root / "study.yaml").read_text())
    (root / "study.yaml").write_text(yaml.safe_dump(study | {"description": DESCRIPTION}))
    family = root / "config/families/nli.yaml"
    hostile = yaml.safe_load(
        family.read_text().replace("contradiction", f"contradiction {struck('label')}")
    )
    hostile["formats"]["io"] += struck("template").replace("{", "{{").replace("}", "}}")
    # A dataset in files, as old as what was made of it; a slash in a name is a folder.
    # Snakemake itself refuses <script>, which it takes for a pathvar.
    name = f"data/{struck('file').replace('script>', 'script >')}.jsonl"
    [parquet] = root.glob("resources/pocket/datasets/pocket/nli_ood/default/test-*.parquet")
    (root / name).parent.mkdir(parents=True)
    pl.read_parquet(parquet).write_ndjson(root / name)
    os.utime(root / name, (0, 0))
    ood = hostile["datasets"]["pocket_nli_ood"]
    del ood["repository"]
    ood["files"] = {"train": name, "test": name}
    family.write_text(yaml.safe_dump(hostile))
    # Not the scores again: what is written of the study is.
    clone.snakemake("--rerun-triggers", "mtime", "--forcerun", "write_study", "--", "all")


def test_its_text_is_shown_and_nothing_else(browser, finished):  # noqa: F811
    make_hostile(finished)
    report = finished.root / "results/tiny/report.html"
    page = report.read_text()
    assert page.count("<script") == page.count("</script>") == 2 and "the secret" not in page
    assert str(finished.root) not in page
    browser.open(report)
    shown = browser.run("return document.querySelector('main').textContent")
    assert " ".join(DESCRIPTION.split()) in " ".join(shown.split())
    assert browser.run("return document.querySelectorAll('a[href^=javascript], img').length") == 0
    assert browser.run("return window.struck") is None and browser.errors() == []
    for name in ("examples", "comparison"):
        browser.open(report.with_name(f"{name}.html"))
        browser.driver.find_element("css selector", "article, #rows td")
        assert browser.run("return window.struck") is None and browser.errors() == []
    # Nor does anything of it run in a report that Snakemake makes: it gets no text of the study.
    finished.snakemake("--report", "direct.html", "--", "all")
    browser.open(finished.root / "direct.html")
    assert browser.run("return window.struck") is None
    direct = (finished.root / "direct.html").read_text()
    assert "</script><script>window.struck" not in direct and "the secret" not in direct
