"""The CSV that a table's page offers: made in the browser, of the rows that the page holds."""

import base64

import polars as pl
import pytest

from ptft.report.table_page import table_page
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("browser")
HOSTILE = '</script><script>window.struck = "cell"</script>'
TABLE = pl.DataFrame(
    {
        "text": ["a,b", 'say "so"', "two\nlines", HOSTILE, "=1+1", "", None, "評価"],
        "count": [1, 22, None, 4, 5, 6, 7, 8],
        "value": [0.1, 1e-07, 3.0, -1.5, 123456.789, None, 0.30000000000000004, 0.0],
        "right": [True, False, None, True, True, True, True, True],
    }
)
CSV = """text,count,value,right
"a,b",1,0.1,true
"say ""so""\",22,1e-7,false
"two
lines",,3.0,
"</script><script>window.struck = ""cell""</script>",4,-1.5,true
'=1+1,5,123456.789,true
"",6,,true
,7,0.30000000000000004,true
評価,8,0.0,true
"""
SHOWN = [
    ["a,b", "1", "0.1000", "true"],
    ['say "so"', "22", "1.000e-7", "false"],
    ["two\nlines", "", "3", ""],
    [HOSTILE, "4", "-1.500", "true"],
    ["=1+1", "5", "1.235e+5", "true"],
    ["", "6", "", "true"],
    ["", "7", "0.3000", "true"],
    ["評価", "8", "0", "true"],
]


@pytest.fixture
def folder(browser, tmp_path):
    """Where downloads go; in it the page within a frame, as a report shows it."""
    page = table_page(TABLE, "hostile", "about")
    encoded = base64.b64encode(page.encode()).decode()
    frame = f'<iframe src="data:text/html;charset=utf8;base64,{encoded}"></iframe>'
    (tmp_path / "report.html").write_text(f"<!DOCTYPE html><html><body>{frame}</body></html>")
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    browser.open(tmp_path / "report.html")
    browser.driver.switch_to.frame(browser.driver.find_element("css selector", "iframe"))
    browser.driver.find_element("css selector", "tbody tr")
    yield tmp_path
    browser.driver.switch_to.default_content()
    assert browser.run("return window.struck") is None
    assert browser.errors() == [] and browser.outside() == []


def test_the_page_shows_its_rows_and_the_file_holds_them(browser, folder):
    shown = browser.run(
        "return [...document.querySelectorAll('tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert shown == SHOWN
    numbers = browser.run("return document.querySelectorAll('td.number').length")
    assert numbers == 7 + 7
    browser.driver.find_element("css selector", "a[download]").click()
    file = folder / "hostile.csv"
    wait_until(lambda: file.exists() and file.stat().st_size, "the download is there")
    assert file.read_bytes() == CSV.encode()
