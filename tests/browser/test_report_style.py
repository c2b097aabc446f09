"""The ready style of the report is the one that its browser would make."""

import pytest

from ptft.report.ready_style import READY, with_ready_style
from tests.browser.report_style import empty_report, made_style

pytestmark = pytest.mark.xdist_group("browser")


def test_the_style_is_what_tailwind_makes(browser):
    assert READY.read_text(encoding="utf-8") == made_style(browser.driver), (
        "Snakemake's report changed: make report-style"
    )


def test_a_page_has_the_style_or_the_program_that_makes_it():
    page = empty_report()
    ready = with_ready_style(page)
    assert len(ready) < len(page) - 400_000
    assert ready.count("<style>") == page.count("<style>") + 1
    assert ready.count("<script>") == page.count("<script>") - 1
    other = page.replace('className: "p-3"', 'className: "p-4"')
    assert other != page and with_ready_style(other) == other
