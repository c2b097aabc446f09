"""The report in a real browser: whole, self-contained, usable at a desk and on a phone."""

import polars as pl
import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from ptft.analysis.tables import TABLES

# One worker: a second one would wait for the same run to finish.
pytestmark = pytest.mark.xdist_group("browser")
DESK, TABLET, PHONE = (1400, 1000), (800, 1000), (390, 844)
SIZES = pytest.mark.parametrize("size", [DESK, TABLET, PHONE], ids=["desk", "tablet", "phone"])


@pytest.fixture
def report(browser, finished_once):
    """The report of the finished run, opened at a desk."""
    browser.size(*DESK)
    browser.open(finished_once / "results/tiny/report.html")
    browser.driver.find_element("css selector", "#table tbody tr")  # its data is unpacked
    yield browser
    # Whatever a test did: nothing went wrong, and nothing was loaded from outside.
    assert browser.errors() == [] and browser.outside() == []


def fits(report) -> bool:
    """Whether the page is no wider than the screen."""
    return report.run("return document.documentElement.scrollWidth <= window.innerWidth + 1")


def unfold(report):
    report.run(
        "document.querySelectorAll('main details:not([hidden])').forEach(f => f.open = true)"
    )


@SIZES
def test_answers_and_figures_are_in_sight_without_a_click(report, size):
    report.size(*size)
    assert report.driver.find_element("css selector", "h1").text == "tiny"
    cards = report.driver.find_elements("css selector", ".card")
    assert 6 <= len(cards) <= 10 and all(card.is_displayed() for card in cards)
    chapters = report.run("return [...document.querySelectorAll('main > section')].map(s => s.id)")
    for card in cards:
        assert card.get_attribute("href").split("#")[1] in chapters
    shown = report.pictures()
    assert len(shown) >= 6 and all(report.seen(picture, size[0]) for picture in shown)
    assert fits(report)
    unfold(report)
    assert fits(report)


def test_tables_sort_filter_and_download(report, finished_once):
    choice = Select(report.driver.find_element("id", "table-name"))
    offered = {option.text for option in choice.options}
    assert {"findings", "arms", "audit_splits", "audit_prompts"} <= offered
    noted = {"notes", "updates"}
    assert offered <= {"findings", "arms", "audit_splits", "audit_prompts", *noted, *TABLES}
    choice.select_by_visible_text("base_scores")
    head = report.driver.find_element("xpath", "//th[button='value']")
    column = report.run("return arguments[0].cellIndex", head)

    def values():
        cells = report.run(
            "return [...document.querySelectorAll('#table tbody tr')]"
            ".map(row => row.cells[arguments[0]].textContent)",
            column,
        )
        return [float(cell) for cell in cells]

    before = values()
    report.run("arguments[0].querySelector('button').click()", head)
    assert values() == sorted(before) and head.get_attribute("aria-sort") == "ascending"
    report.run("arguments[0].querySelector('button').click()", head)
    assert values() == sorted(before, reverse=True)
    report.driver.find_element("id", "table-filter").send_keys("pocket_nli_ood")
    assert 0 < len(values()) < len(before)
    text = report.run("return fetch(arguments[0].href).then(r => r.text())",
                      report.driver.find_element("id", "table-csv"))  # fmt: skip
    assert text == (finished_once / "results/tiny/tables/base_scores.csv").read_text()
    link = report.driver.find_element("css selector", "#figure-base_scores a[data-csv]")
    assert link.get_attribute("download") == "base_scores.csv"


def test_a_figures_points_tell_their_numbers(report, finished_once):
    figure = report.driver.find_element("id", "figure-base_scores")
    points = figure.find_elements("css selector", ".point")
    scores = pl.read_parquet(finished_once / "results/tiny/tables/base_scores.parquet")
    assert len(points) == len(scores)
    tip = report.driver.find_element("id", "tip")
    report.run("arguments[0].focus()", points[0])
    assert tip.is_displayed() and tip.text == points[0].get_attribute("aria-label")
    points[0].send_keys(Keys.ARROW_RIGHT)
    assert report.driver.switch_to.active_element == points[1]
    assert tip.text == points[1].get_attribute("aria-label")
    points[1].send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()
    # A click on a point shows its line alone; another one all again.
    report.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", points[1])
    for alone in (True, False):
        report.run(
            "const box = arguments[0].getBoundingClientRect();"
            "arguments[0].closest('svg').dispatchEvent(new MouseEvent('click', {bubbles: true,"
            " clientX: box.left + box.width / 2, clientY: box.top + box.height / 2}))",
            points[1],
        )
        assert ("one" in figure.get_attribute("class").split()) == alone


HOSTILE = '</script><script>window.struck = "cell"</script>'
CSV = 'text,count\n"a,b",1\n"say ""so""",22\n"two\nlines",\n\'=1+1,5\n"",6\n,7\n'


def test_the_csv_of_a_page_is_read_as_it_was_written(browser, finished_once, tmp_path):
    """Quotes, lines, nothing and the empty text; formulas without their apostrophe."""
    from ptft.report import rendering

    table = pl.DataFrame(
        {"text": ["a,b", 'say "so"', "two\nlines", "=1+1", "", None, HOSTILE],
         "count": [1, 22, None, 5, 6, 7, 8]}
    )  # fmt: skip
    page = (finished_once / "results/tiny/report.html").read_text()
    before, _, after = page.partition('<script id="data" type="text/plain">')
    packed = rendering.packed_tables({name: table for name in ("findings", *TABLES)})
    after = after[after.index("</script>") :]
    (tmp_path / "page.html").write_text(
        f'{before}<script id="data" type="text/plain">{packed}{after}'
    )
    browser.open(tmp_path / "page.html")
    browser.driver.find_element("css selector", "#table tbody tr")
    shown = browser.run(
        "return [...document.querySelectorAll('#table tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    texts = ["a,b", 'say "so"', "two\nlines", "=1+1", "", "", HOSTILE]
    assert shown == [list(row) for row in zip(texts, ["1", "22", "", *"5678"], strict=True)]
    link = browser.driver.find_element("id", "table-csv")
    text = browser.run("return fetch(arguments[0].href).then(r => r.text())", link)
    assert text.startswith(CSV) and browser.run("return window.struck") is None


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESK, "light"), (DESK, "dark"), (TABLET, "dark"), (PHONE, "light")]
)
def test_it_is_accessible(report, size, scheme):
    report.size(*size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    report.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    unfold(report)
    assert report.violations() == []
    report.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
