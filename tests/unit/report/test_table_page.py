"""Table pages: whole, escaped, loading nothing. How they behave is tested in a browser."""

import base64
import csv
import json
import re

import polars as pl
import pytest

from ptft.analysis.csv_tables import csv_text, write_csv
from ptft.report.embedding import REPORT_DATA, escape_report
from ptft.report.table_page import table_page


def test_page_holds_the_whole_table_and_no_markup_of_its_content():
    table = pl.DataFrame({"a<b": ["</script><!--<script>", None], "value": [0.123456789, None]})
    page = table_page(table, "t&t", "about <x>")
    assert page.count("</script>") == page.count("<script") == 2 and "<!--" not in page
    assert "a&lt;b" in page and "<title>t&amp;t</title>" in page and "about &lt;x&gt;" in page
    download = base64.b64decode(re.search(r"base64,([^\"]+)\"", page)[1]).decode()
    assert download == table.write_csv()
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


def test_the_data_of_a_report_can_not_end_their_script():
    hostile = {"params": "</script><script>alert(1)</script>\n", "n": 1.5}
    page = "".join(
        f'<script id="x">\n    var {name} = {json.dumps(hostile)};\n    </script>\n'
        for name in REPORT_DATA
    )
    escaped = escape_report(page)
    assert escaped.count("</script>") == escaped.count("<script") == len(REPORT_DATA)
    assert json.loads(re.search("var rules = (.*);", escaped)[1]) == hostile
    with pytest.raises(ValueError, match="no single script `var rules"):
        escape_report(page.replace("var rules", "let rules"))
