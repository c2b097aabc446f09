"""The report in a real browser: whole, self-contained, usable at a desk and on a phone."""

import pytest

from ptft.analysis.tables import TABLES
from ptft.figures import figures_of
from ptft.report.front_page import SHOWN

# One worker: a second one would wait for the same run to finish.
pytestmark = pytest.mark.xdist_group("browser")
DESK, TABLET, PHONE = (1400, 1000), (800, 1000), (390, 844)


@pytest.fixture
def report(browser, finished_once):
    """The report of the finished run, opened at a desk."""
    browser.size(*DESK)
    browser.open(finished_once / "results/tiny/report.html")
    browser.driver.find_element("css selector", ".prose h1.title")
    yield browser
    # Whatever a test did: nothing went wrong, and nothing was loaded from outside.
    assert browser.errors() == [] and browser.outside() == []


def results(report):
    """Path in the report -> name, of everything it holds."""
    return report.run(
        "return Object.fromEntries(Object.entries(results).map(([p, r]) => [p, r.name]))"
    )


def show(report, path):
    """Press the button that shows a result."""
    report.run(
        "app.showResultInfo(arguments[0]); return new Promise(drawn => setTimeout(drawn, 100))",
        path,
    )
    report.driver.find_element("css selector", "nav td a[type='button']").click()


def fits(report) -> bool:
    """Whether the page is no wider than the screen."""
    return report.run("return document.documentElement.scrollWidth <= window.innerWidth + 1")


@pytest.mark.parametrize("size", [DESK, TABLET, PHONE], ids=["desk", "tablet", "phone"])
def test_front_page(report, size):
    report.size(*size)
    headings = [h.text for h in report.driver.find_elements("css selector", ".prose h1")]
    assert headings[0] == "tiny"
    assert "What only fine-tuning shows" in headings and "When pre-training could have stopped" in (
        headings
    )
    # The top is within reach: a centred column would begin above the window.
    assert report.run("return document.querySelector('.prose').getBoundingClientRect().top") >= 0
    assert fits(report)


@pytest.mark.parametrize("size", [DESK, TABLET, PHONE], ids=["desk", "tablet", "phone"])
def test_front_page_answers_and_shows_without_a_click(report, size):
    report.size(*size)
    answers = report.driver.find_elements("css selector", ".prose .answers li")
    assert 5 <= len(answers) <= 8 and all(answer.is_displayed() for answer in answers)
    shown = report.pictures()
    remedies = 1  # the section on them is not in a study of full fine-tuning alone
    assert len(shown) == 1 + len(SHOWN) - remedies
    assert all(report.seen(picture, size[0]) for picture in shown)


def test_tables_of_the_front_page_unfold(report):
    fold = report.driver.find_element("css selector", ".prose details")
    inside = fold.find_element("css selector", "summary ~ *")
    assert not inside.is_displayed()
    report.run("arguments[0].querySelector('summary').click()", fold)
    assert inside.is_displayed() and "ptft-fold" not in report.driver.page_source


def test_links_of_the_front_page_lead_to_the_figures(report):
    link = report.driver.find_element("link text", "domains.svg")
    report.run("arguments[0].click()", link)
    assert "own test sets" in report.driver.find_element("css selector", "nav").text


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_figure_is_visible(report, size):
    report.size(*size)
    figures = {p: name for p, name in results(report).items() if name.endswith(".svg")}
    assert {name.removesuffix(".svg") for name in figures.values()} == set(
        figures_of(["examples", "formats"])
    )
    for path, name in figures.items():
        show(report, path)
        image = report.driver.find_element("css selector", ".grow .p-3 > img")
        drawn = report.run(
            "const i = arguments[0]; return i.decode().then("
            "() => [i.naturalWidth, i.getBoundingClientRect().width, i.offsetHeight])",
            image,
        )
        assert drawn[0] > 100 and 100 < drawn[1] <= size[0] and drawn[2] > 50, name
        assert fits(report), name


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_tables_sort_filter_and_download(report, finished_once, size):
    report.size(*size)
    tables = {name: p for p, name in results(report).items() if name.endswith(".html")}
    assert {name.removesuffix(".html") for name in tables} == {
        *TABLES,
        "arms",
        "comparison",
        "examples",
        "audit_splits",
        "audit_prompts",
    }
    show(report, tables["base_scores.html"])
    frame = report.driver.find_element("css selector", "iframe")
    report.driver.switch_to.frame(frame)
    try:
        report.driver.find_element("css selector", "tbody tr")  # the rows are unpacked
        head = report.driver.find_element("xpath", "//th[button='value']")
        column = report.run("return arguments[0].cellIndex", head)

        def values():
            cells = report.run(
                "return [...document.querySelectorAll('tbody tr')]"
                ".map(row => row.cells[arguments[0]].textContent)",
                column,
            )
            return [float(cell) for cell in cells]

        before = values()
        report.run("arguments[0].querySelector('button').click()", head)
        assert values() == sorted(before)
        assert head.get_attribute("aria-sort") == "ascending"
        report.run("arguments[0].querySelector('button').click()", head)
        assert values() == sorted(before, reverse=True)
        box = report.driver.find_element("id", "filter")
        box.send_keys("pocket_nli_ood")
        assert 0 < len(values()) < len(before)
        link = report.driver.find_element("css selector", "a[download]")
        assert link.get_attribute("download") == "base_scores.csv"
        text = report.run("return fetch(arguments[0].href).then(r => r.text())", link)
        assert text == (finished_once / "results/tiny/tables/base_scores.csv").read_text()
        # Wide tables scroll in their own frame, not with the page.
        assert fits(report)
    finally:
        report.driver.switch_to.default_content()


def test_the_front_page_leads_to_single_examples(report):
    link = report.driver.find_element("link text", "examples.html")
    report.run("arguments[0].click()", link)
    report.driver.find_element("css selector", "nav td a[type='button']").click()
    report.driver.switch_to.frame(report.driver.find_element("css selector", "iframe"))
    try:
        cards = report.driver.find_elements("css selector", "article")
        assert cards and "tuned on" in cards[0].text
        assert fits(report)
    finally:
        report.driver.switch_to.default_content()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_front_page_is_accessible(report, size):
    report.size(*size)
    report.run("document.querySelectorAll('.prose details').forEach(fold => fold.open = true)")
    assert report.violations() == []


def test_tables_are_accessible(browser, finished_once):
    browser.size(*DESK)
    browser.open(finished_once / "results/tiny/tables/base_scores.html")
    browser.driver.find_element("css selector", "tbody tr")
    assert browser.violations() == []
