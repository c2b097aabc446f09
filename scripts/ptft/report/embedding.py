"""Snakemake's report with escaped data, named controls and each picture once."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptft.language.translation import Translate, translator
from ptft.report.embedded_json import script_json
from ptft.report.ready_style import with_ready_style
from ptft.report.rst import FOLD, FOLD_END

# What Snakemake's report keeps in scripts of its own, a line each.
REPORT_DATA = (
    "workflow_desc",
    "results",
    "categories",
    "rulegraph_spec",
    "runtimes_spec",
    "timeline_spec",
    "rules",
    "packages",
    "metadata",
)
# Run when the results are there, before the page is drawn.
PICTURES = """
workflow_desc = workflow_desc.replace(/src="result:(\\d+)"/g,
  (_, number) => `src="${Object.values(results)[number].data_uri}"`);"""


def escape_report(page: str, language: str = "en") -> str:
    """Snakemake's report with its data escaped by ``script_json``, and its controls named.

    Snakemake (9) does not escape: ``</script>`` in a job's parameters or in a file name would end
    the script, and the rest would be part of the page.

    Raises:
        ValueError: the page does not look like one of this version of Snakemake.
    """
    page = with_ready_style(page)
    page = page.replace('<html lang="en">', f'<html lang="{language}">', 1)
    lines = {
        name: re.compile(rf'(<script id="[a-z-]+">\n *var {name} = )(.*);$', re.M)
        for name in REPORT_DATA
    }
    for name, line in lines.items():
        if len(line.findall(page)) != 1:
            raise ValueError(f"Snakemake's report has no single script `var {name} = …;`")
    data = {name: json.loads(line.search(page)[2]) for name, line in lines.items()}
    data["workflow_desc"] = with_folds(pictures_once(data["workflow_desc"], data["results"]))
    written = {name: f"{script_json(value)};" for name, value in data.items()}
    written["results"] += f"\n{PICTURES}"
    for name, line in lines.items():
        page = line.sub(lambda found, script=written[name]: found[1] + script, page)
    before, end, after = page.rpartition("</body>")
    return before + _naming(translator(language)) + end + after


def _naming(translate: Translate) -> str:
    """A script that names unnamed controls of Snakemake's page, for screen readers."""
    words = {
        "open": translate("Show the menu"),
        "close": translate("Hide the menu"),
        "home": translate("Start"),
        "search": translate("Search"),
        "save": translate("Save the picture"),
        "path": translate("Place in the report"),
        "menu": translate("Menu"),
        "figure": translate("Figure"),
    }
    script = Path(__file__).with_name("report_names.js").read_text(encoding="utf-8")
    return f"<script>{{const words = {script_json(words)};\n{script}}}</script>\n"


def pictures_once(page: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """HTML of the front page, in which a picture that is a result is replaced by its number.

    So the report has it once; ``PICTURES`` puts it back in the browser.

    Args:
        results: path -> entry of Snakemake's report, whose ``data_uri`` has all bytes.
    """
    numbers = {
        result["data_uri"].partition(";base64,")[2]: number
        for number, result in enumerate(results.values())
    }
    return re.sub(
        r'src="data:image/svg\+xml;base64,([^"]*)"',
        lambda found: f'src="result:{numbers[found[1]]}"' if found[1] in numbers else found[0],
        page,
    )


def with_folds(page: str) -> str:
    """HTML of the front page, its marks (``rst.folded``) replaced by elements that open."""
    begin = re.compile(rf'<p class="{FOLD}">(.*?)</p>', re.S)
    page = re.sub(rf'<p class="{FOLD_END}">.*?</p>', "</details>", page, flags=re.S)
    return begin.sub(r"<details><summary>\1</summary>", page)


class _Escaping:
    """Snakemake's report template, with escaped pages."""

    def __init__(self, template: Any, language: str):
        self._template, self._language = template, language

    def render(self, **data: object) -> str:
        return escape_report(self._template.render(**data), self._language)


def protect_reports(docutils: Path, language: str = "en") -> None:
    """Escape a study's texts in all reports that this process makes; call it once.

    So `snakemake --report` by hand gives the same escaped page (or zip file) as rule
    `make_report`, and no text can read files into it.

    Args:
        docutils: settings for reStructuredText.
        language: of the pages, for readers' browsers.
    """
    os.environ["DOCUTILSCONFIG"] = str(docutils)
    reports = sys.modules.get("snakemake.report.html_reporter")  # every command line loads it
    if reports is None or hasattr(reports.Reporter, "is_protected"):
        return
    prepare = reports.Reporter.__post_init__

    def prepare_escaped(reporter: Any) -> None:
        prepare(reporter)
        find = reporter.env.get_template
        reporter.env.get_template = lambda name: _Escaping(find(name), language)

    reports.Reporter.__post_init__ = prepare_escaped
    reports.Reporter.is_protected = True
