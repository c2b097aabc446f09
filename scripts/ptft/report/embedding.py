"""Data inside a web page's script elements: whatever the text holds, it stays data."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from ptft.language.translation import Translate, translator
from ptft.report.embedded_json import script_json
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


def escape_report(page: str, language: str = "en") -> str:
    """Snakemake's report with all its data as ``script_json`` writes it, and its controls named.

    Snakemake (9) writes them as they are, so that ``</script>`` in a job's parameters or in a
    file name ends the script and what follows is part of the page.

    Raises:
        ValueError: the page does not look as this version of Snakemake makes it.
    """
    page = page.replace('<html lang="en">', f'<html lang="{language}">', 1)
    for name in REPORT_DATA:
        line = re.compile(rf'(<script id="[a-z-]+">\n *var {name} = )(.*);$', re.M)
        if len(line.findall(page)) != 1:
            raise ValueError(f"Snakemake's report has no single script `var {name} = …;`")
        page = line.sub(lambda found: f"{found[1]}{script_json(_read(found[2]))};", page)
    before, end, after = page.rpartition("</body>")
    return before + _naming(translator(language)) + end + after


def _naming(translate: Translate) -> str:
    """A script that names what Snakemake's page leaves without a name, for screen readers."""
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


def _read(data: str) -> object:
    """Data of a script; the front page's folds become elements that open."""
    value = json.loads(data)
    return with_folds(value) if isinstance(value, str) else value


def with_folds(page: str) -> str:
    """HTML of the front page, with elements that open in place of its marks (``rst.folded``)."""
    begin = re.compile(rf'<p class="{FOLD}">(.*?)</p>', re.S)
    page = re.sub(rf'<p class="{FOLD_END}">.*?</p>', "</details>", page, flags=re.S)
    return begin.sub(r"<details><summary>\1</summary>", page)


class _Escaping:
    """Snakemake's template of a report, whose pages are escaped."""

    def __init__(self, template: Any, language: str):
        self._template, self._language = template, language

    def render(self, **data: object) -> str:
        return escape_report(self._template.render(**data), self._language)


def protect_reports(docutils: Path, language: str = "en") -> None:
    """Let no report that this process makes hold a study's texts as markup, once.

    Whoever calls `snakemake --report` by hand gets what the rule `make_report` gets: a page, or
    the page in a zip file, that is escaped, and no text that reads files into it.

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
