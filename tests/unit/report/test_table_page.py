"""Table pages: whole, escaped, loading nothing. How they behave is tested in a browser."""

import csv
import json
import re
import subprocess
import sys
import zipfile

import polars as pl
import pytest
from page_data import page_data

from ptft.analysis.csv_tables import csv_text, write_csv
from ptft.report.embedding import REPORT_DATA, escape_report
from ptft.report.table_page import table_page


def test_page_holds_the_whole_table_and_no_markup_of_its_content():
    table = pl.DataFrame({"a<b": ["</script><!--<script>", None], "value": [0.123456789, None]})
    page = table_page(table, "t&t", "about <x>")
    assert page.count("</script>") == page.count("<script") == 2 and "<!--" not in page
    assert "a&lt;b" in page and "<title>t&amp;t</title>" in page and "about &lt;x&gt;" in page
    assert page_data(page) == table.write_csv()
    assert page == table_page(table, "t&t", "about <x>")
    assert not re.search(r"(src|href)=\"(http|//)", page)


def test_no_text_of_a_csv_is_a_formula(tmp_path):
    cells = ["=HYPERLINK(1)", "+1", "-1", "@a", "\tx", "a=b", "", None]
    table = pl.DataFrame({"text": cells, "value": [-1.5] * 7 + [None]})
    write_csv(table, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [f"'{cell}" for cell in cells[:5]] + ["a=b", "", ""]
    assert [row["value"] for row in rows] == ["-1.5"] * 7 + [""]
    plain = pl.DataFrame({"checkpoint": ["step1000"], "value": [-0.25]})
    assert csv_text(plain) == plain.write_csv()


def report_of(data):
    """The scripts of Snakemake's report, as it writes them."""
    return "".join(
        f'<script id="x">\n    var {name} = {json.dumps(data[name])};\n    </script>\n'
        for name in REPORT_DATA
    )


def test_the_data_of_a_report_can_not_end_their_script():
    text = "</script><script>alert(1)</script>\n"
    hostile = {"params": text, "n": 1.5}
    data = {name: hostile for name in REPORT_DATA}
    data |= {"workflow_desc": text, "results": {text: {"data_uri": text}}}
    page = report_of(data)
    escaped = escape_report(page)
    assert escaped.count("</script>") == escaped.count("<script") == len(REPORT_DATA) + 1  # names
    assert json.loads(re.search("var rules = (.*);", escaped)[1]) == hostile
    with pytest.raises(ValueError, match="no single script `var rules"):
        escape_report(page.replace("var rules", "let rules"))


def test_a_report_holds_a_picture_of_its_front_page_once():
    drawn, other = "RFJBV04=", "T1RIRVI="
    image = '<img alt="x" src="data:image/svg+xml;base64,{}" style="width: 100%;" />'
    data = {name: {} for name in REPORT_DATA}
    data["workflow_desc"] = image.format(drawn) + image.format(other)
    data["results"] = {
        "a.html": {"data_uri": "data:text/html;charset=utf8;filename=a.html;base64,QQ=="},
        "b.svg": {"data_uri": f"data:image/svg+xml;charset=utf8;filename=b.svg;base64,{drawn}"},
        "c.svg": {"data_uri": "data/in/a/zip/file.svg"},
    }
    page = escape_report(report_of(data))
    assert page.count(drawn) == page.count(other) == 1
    shown = json.loads(re.search("var workflow_desc = (.*);", page)[1])
    assert shown == ('<img alt="x" src="result:1" style="width: 100%;" />' + image.format(other))


SNAKEFILE = """
import sys
from pathlib import Path

sys.path.insert(0, {scripts!r})
from ptft.report.embedding import protect_reports

protect_reports(Path({docutils!r}))


report: "front.rst"


rule page:
    input:
        lambda wildcards: "</script ><script >.txt",
    output:
        report("page.txt", caption="front.rst", labels={{"name": "</script><script>label"}}),
    params:
        "</script><script>params",
    shell:
        "touch {{output}}"
"""


@pytest.mark.slow
def test_a_report_that_is_asked_for_by_hand_is_as_safe(repository, tmp_path):
    docutils = str(repository / "workflow/report/docutils.conf")
    scripts = str(repository / "scripts")
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(scripts=scripts, docutils=docutils))
    (tmp_path / "secret.txt").write_text("the secret")
    (tmp_path / "front.rst").write_text("A front page.\n\n.. include:: secret.txt\n")
    (tmp_path / "<").mkdir()
    (tmp_path / "</script ><script >.txt").touch()  # Snakemake refuses <script> as a pathvar
    for more in (["--quiet"], ["--report", "x.html"], ["--report", "x.zip"]):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *more]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / "x.zip") as packed:
        pages = [(tmp_path / "x.html").read_text(), packed.read("x/report.html").decode()]
    for page in pages:
        assert "</script><script>" not in page and "the secret" not in page
        assert "</script ><script >" not in page
        assert "\\u003c/script>\\u003cscript>label" in page
