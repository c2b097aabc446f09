"""The report of a study from someone else: nothing of it runs, nothing is read into it."""

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
    """What ends a script and begins its own."""
    return f'</script><script>window.struck = "{by}"</script><!--<script>'


def test_its_text_is_shown_and_nothing_else(browser, finished):  # noqa: F811
    root = finished.root
    (root / "secret.txt").write_text("the secret of this machine")
    study = yaml.safe_load((root / "study.yaml").read_text())
    (root / "study.yaml").write_text(yaml.safe_dump(study | {"description": DESCRIPTION}))
    family = root / "config/families/nli.yaml"
    hostile = yaml.safe_load(
        family.read_text().replace("contradiction", f"contradiction {struck('label')}")
    )
    hostile["formats"]["io"] += struck("template").replace("{", "{{").replace("}", "}}")
    family.write_text(yaml.safe_dump(hostile))
    # Not the scores again: what is written of the study is.
    finished.snakemake("--rerun-triggers", "mtime", "--forcerun", "write_study", "--", "all")
    report = root / "results/tiny/report.html"
    assert "contradiction \\u003c/script>" in report.read_text()
    assert "the secret" not in report.read_text() and str(root) not in report.read_text()
    browser.open(report)
    browser.driver.find_element("css selector", ".prose h1.title")
    shown = browser.run("return document.querySelector('.prose').textContent")
    assert " ".join(DESCRIPTION.split()) in " ".join(shown.split())
    assert browser.run("return window.struck") is None
    assert browser.run("return document.querySelectorAll('.prose a[href^=javascript]').length") == (
        browser.run("return document.querySelectorAll('.prose a[href*=\"app.show\"]').length")
    )
    assert browser.errors() == []
