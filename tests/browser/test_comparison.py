"""The page on which models are compared: what is chosen shows the tables' numbers."""

import json

import polars as pl
import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = pytest.mark.xdist_group("browser")
DESK, PHONE = (1400, 1000), (390, 844)
FIRST, LAST = "step4", "step16"


@pytest.fixture
def page(browser, finished_once):
    """The page by itself, at a desk."""
    browser.size(*DESK)
    browser.open(finished_once / "results/tiny/comparison.html")
    browser.driver.find_element("css selector", "#rows td")
    yield browser
    assert browser.errors() == []
    outside = [url for url in browser.requests() if not url.startswith(("file:", "data:"))]
    assert outside == []


def table(finished_once, name, checkpoint):
    """Rows of a table by (task, dataset), as people write them."""
    rows = pl.read_parquet(finished_once / f"results/tiny/tables/{name}.parquet")
    rows = rows.filter(pl.col("checkpoint") == checkpoint)
    return {(row["train_task"], row["dataset"]): row for row in rows.iter_rows(named=True)}


def cells(page):
    """(task, dataset) -> what the cell shows and what it tells, by the names in the data."""
    found = page.run(
        "return [...document.querySelectorAll('#rows tr')].map(row => [...row.querySelectorAll("
        "'td')].map(cell => [row.querySelector('th').textContent, cell.textContent, cell.said]))"
    )
    heads = page.run(
        "return [...document.querySelectorAll('#heads tr:last-child th')].slice(1)"
        ".map(th => th.textContent)"
    )
    return {
        (row[0][0], name): (shown, said)
        for row in found
        for name, (_, shown, said) in zip(heads, row, strict=True)
    }


def choose(page, name, text):
    """Choose an entry that begins with ``text``."""
    select = Select(page.driver.find_element("id", name))
    [entry] = [option.text for option in select.options if option.text.startswith(text)]
    select.select_by_visible_text(entry)


def points(value, digits=1):
    text = f"{100 * value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text.lstrip("+−")


def assert_shown(page, rows, turned, names):
    """The matrix holds the table's differences, and tells the intervals and examples.

    Args:
        turned: (task, dataset) -> what is said of the examples.
    """
    found = cells(page)
    assert len(found) == len(rows)
    for (task, dataset), row in rows.items():
        shown, said = found[names["tasks"][task], names["datasets"][dataset]]
        assert shown in {points(row["gain"] + tiny, 0) for tiny in (-1e-9, 1e-9)}
        for value in (row["gain"], row["ci_low"], row["ci_high"]):
            near = {points(value + shift) for shift in (-6e-5, 0, 6e-5)}
            assert any(text in said[1] for text in near), (value, said)
        assert said[3] == turned(task, dataset)


def turned_between(finished_once, one, other, dataset):
    """A cell's sentence on the examples of one model (checkpoint/arm) against another's."""
    folder = finished_once / "results/tiny/evaluations"
    first, last = (
        dict(
            pl.read_parquet(
                folder / model / f"{dataset}.default.0shot.parquet", columns=["example_id", "score"]
            ).iter_rows()
        )
        for model in (one, other)
    )
    wins = sum(score > last[example] for example, score in first.items())
    losses = sum(score < last[example] for example, score in first.items())
    ties = len(first) - wins - losses
    return (
        f"Of {len(first)} examples {wins} score higher (wins), {losses} lower (losses), "
        f"{ties} the same (ties)."
    )


def test_choosing_shows_the_values_of_the_tables(page, finished_once):
    [wording] = (finished_once / "results/tiny/state/slices/wording").glob("*.json")
    names = json.loads(wording.read_text())["titles"]
    names["tasks"] = {**names["datasets"], **names["tasks"]}
    for checkpoint in (LAST, FIRST):
        choose(page, "checkpoint", checkpoint)
        rows = table(finished_once, "gains", checkpoint)

        def turned(task, dataset, at=checkpoint):
            return turned_between(finished_once, f"{at}/full.{task}.s0", f"{at}/base", dataset)

        assert_shown(page, rows, turned, names)
    # Against the last checkpoint: the difference of two tuned models.
    choose(page, "other", LAST)
    last = table(finished_once, "gains", LAST)
    for (task, dataset), row in table(finished_once, "gains", FIRST).items():
        shown, said = cells(page)[names["tasks"][task], names["datasets"][dataset]]
        change = row["tuned"] - last[task, dataset]["tuned"]
        assert any(said[1].startswith(points(change + shift)) for shift in (-6e-5, 0, 6e-5))
        assert "interval" in said[1]
        assert len(said) == 3
    # The other format has the datasets that were scored in it.
    before = cells(page)
    choose(page, "other", "Base model")
    choose(page, "format", "io")
    assert 0 < len(cells(page)) < len(before)


def test_the_matrix_is_read_with_keys_pointer_and_finger(page):
    first, second = page.driver.find_elements("css selector", "#rows td")[:2]
    details = page.driver.find_element("id", "details")

    def told(cell):
        return details.text.splitlines() == page.run("return arguments[0].said", cell)

    # Five stops of the tab key: four choices and the matrix.
    page.driver.find_element("id", "checkpoint").send_keys(Keys.TAB)
    for _ in range(2):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element.get_attribute("id") == "other"
    page.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element == first and told(first)
    first.send_keys(Keys.ARROW_RIGHT)
    assert page.driver.switch_to.active_element == second and told(second)
    second.send_keys(Keys.ARROW_UP)  # there is none above
    assert page.driver.switch_to.active_element == second
    second.send_keys(Keys.ARROW_DOWN)
    below = page.driver.switch_to.active_element
    assert below != second and told(below) and below.get_attribute("tabindex") == "0"
    page.run("arguments[0].dispatchEvent(new MouseEvent('mouseenter'))", first)
    assert told(first)
    second.click()
    assert told(second)
    label = second.get_attribute("aria-label")
    assert label.startswith(f"{second.text} tuned on ") and "interval" in label


def test_on_a_phone_only_the_matrix_scrolls(page):
    page.size(*PHONE)
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth + 1")
    box = page.run("return document.getElementById('details').getBoundingClientRect().toJSON()")
    assert box["bottom"] <= PHONE[1] + 1 and box["right"] <= PHONE[0] + 1


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_it_is_accessible(page, size):
    page.size(*size)
    assert page.violations() == []
