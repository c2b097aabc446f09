"""Write `scripts/ptft/report/report_style.css`: Tailwind's style for Snakemake's report.

Run by `make report-style`.
"""

import html
import re
import tempfile
from pathlib import Path

from jinja2 import Environment, PackageLoader
from selenium.webdriver.support.ui import WebDriverWait
from snakemake.report import html_reporter
from snakemake.report.common import data_uri_from_file
from snakemake.report.html_reporter import data
from snakemake.report.html_reporter.common import get_resource_as_string

from ptft.report.ready_style import READY, digest, style_source
from tests.browser.conftest import headless
from tests.waiting import PATIENCE

SEEN = "return [...document.querySelectorAll('style')].map(s => s.textContent).find(s => s)"


def empty_report() -> str:
    """Snakemake's report of nothing, as it is before we change it."""
    templates = PackageLoader("snakemake", "report/html_reporter/template")
    environment = Environment(loader=templates, trim_blocks=True, lstrip_blocks=True)
    environment.filters["get_resource_as_string"] = get_resource_as_string
    logo = data_uri_from_file(Path(html_reporter.__file__).parent / "template/logo.svg")
    template = environment.get_template("index.html.jinja2")
    return template.render(packages=data.get_packages(), logo=logo, custom_stylesheet=None)


def made_style(driver) -> str:
    """What Tailwind makes in a browser of every word in the texts of the report's scripts."""
    source = style_source(empty_report())
    texts = re.findall(r'"([^"]*)"|`([^`]*)`', source[1])
    words = sorted({word for pair in texts for text in pair for word in text.split()})
    body = f'<div class="{html.escape(" ".join(words))}"></div>'
    page = f"<!DOCTYPE html><script>{source[0]}</script><body>{body}</body>"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "classes.html"
        file.write_text(page, encoding="utf-8")
        driver.get(file.as_uri())
        style = WebDriverWait(driver, PATIENCE).until(lambda browser: browser.execute_script(SEEN))
    return f"/* Tailwind CSS (MIT), made of {digest(source)} */\n{style.strip()}\n"


if __name__ == "__main__":
    with headless() as browser:
        READY.write_text(made_style(browser), encoding="utf-8")
