"""The page of single examples in a real browser: it filters, and hostile texts stay texts."""

import example_study
import pytest

import write_examples

pytestmark = pytest.mark.xdist_group("browser")
DESK, TABLET, PHONE = (1400, 1000), (800, 1000), (390, 844)


@pytest.fixture(scope="module", params=["en", "ja"])
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    arguments = example_study.write(folder, 12, request.param)
    write_examples.main([*arguments, "--output", str(folder / "examples.html")])
    return folder / "examples.html", request.param


@pytest.fixture
def examples(browser, page):
    browser.size(*DESK)
    browser.open(page[0])
    browser.driver.find_element("css selector", "article")
    yield browser
    assert browser.run("return window.struck") is None
    assert (
        browser.run("return document.querySelectorAll('img, iframe, link:not([rel=icon])').length")
        == 0
    )
    assert browser.errors() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:"))] == []


def headings(examples):
    return examples.run("return [...document.querySelectorAll('h2')].map(h => h.textContent)")


def choose(examples, name, text):
    """Choose what a filter offers under a text."""
    examples.run(
        "const select = document.getElementById(arguments[0]);"
        "select.value = [...select.options].find(o => o.text.includes(arguments[1])).value;"
        "select.dispatchEvent(new Event('change'))",
        name,
        text,
    )


def test_language_and_labels(examples, page):
    assert examples.run("return document.documentElement.lang") == page[1]
    labels = examples.run("return [...document.querySelectorAll('label')].map(l => l.control.id)")
    assert labels == ["task", "checkpoint", "dataset", "first", "second"]
    assert "undefined" not in examples.run("return document.body.innerText")


def test_every_group_opened_shows_its_texts_as_they_are(examples):
    buttons = examples.driver.find_elements("css selector", "#groups button")
    assert len(buttons) == 3
    shown = ""
    for button in buttons:
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        examples.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        shown += examples.run("return document.getElementById('cards').textContent")
    assert [text for text in example_study.HOSTILE if text not in shown] == []
    assert "undefined" not in shown and "NaN" not in shown


def test_filters_keep_what_they_name(examples):
    assert len({text.split(" · ")[0] for text in headings(examples)}) > 1
    choose(examples, "dataset", "story")
    choose(examples, "checkpoint", "main")
    found = headings(examples)
    assert found and all(text.startswith("story · main · ") for text in found)
    # A title from a family's file is a text like others.
    choose(examples, "dataset", "</script>")
    assert all(text.startswith("Quiz </script><script>") for text in headings(examples))
    choose(examples, "checkpoint", "step10")
    assert headings(examples)


def test_any_two_models_stand_side_by_side_with_the_difference_marked(examples):
    choose(examples, "first", "full.nli.s0")
    assert examples.run("return document.querySelectorAll('.answer').length") > 0
    choose(examples, "second", "lora.nli.s0")
    choose(examples, "dataset", "story")
    choose(examples, "checkpoint", "main")
    cards = examples.run(
        "return [...document.querySelectorAll('article')].map(card => ["
        "[...card.querySelectorAll('.model')].map(m => m.textContent),"
        "[...card.querySelectorAll('mark')].map(m => m.textContent)])"
    )
    assert len(cards) == 10
    for models, marks in cards:
        assert models == ["full.nli.s0", "lora.nli.s0"] and marks == models
    pressed = "return document.querySelectorAll('#groups [aria-pressed=true]').length"
    assert examples.run(pressed) == 0
    examples.driver.find_elements("css selector", "#groups button")[0].click()
    assert examples.run(pressed) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(examples, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    examples.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    examples.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert examples.violations() == []
    examples.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_more_are_shown_and_the_keyboard_goes_on_there(examples):
    examples.driver.find_elements("css selector", "#groups button")[-1].click()
    assert len(headings(examples)) == 20
    more = examples.driver.find_element("id", "more")
    more.send_keys("\n")
    assert len(headings(examples)) == 30 and not more.is_displayed()
    focused = examples.run(
        "return [...document.querySelectorAll('article')].indexOf("
        "document.activeElement.closest('article'))"
    )
    assert focused == 20
    # A fold is opened by a key.
    examples.driver.switch_to.active_element.send_keys("\n")
    assert examples.run("return document.activeElement.parentElement.open")


@pytest.mark.parametrize("size", [DESK, TABLET, PHONE], ids=["desk", "tablet", "phone"])
def test_nothing_is_wider_than_the_screen(examples, size):
    examples.size(*size)
    for button in examples.driver.find_elements("css selector", "#groups button"):
        button.click()
        examples.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert examples.run("return document.documentElement.scrollWidth <= innerWidth + 1")
