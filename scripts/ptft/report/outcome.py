"""What came out of a study, in a few lines for a terminal."""

from __future__ import annotations

import re
from pathlib import Path

from ptft.paths import Results
from ptft.report.rst import without_templates

FINDINGS = 2
BRACE = without_templates("{"), "{"


def outcome(results: Results) -> list[str]:
    """The front page's first findings; none without a page."""
    page = Path(results.front_page)
    return first_items(page.read_text(encoding="utf-8"), FINDINGS) if page.exists() else []


def first_items(page: str, count: int) -> list[str]:
    """The first items of a page's lists, one line each, as text without marks.

    Args:
        page: reStructuredText, as ``ptft.report.front_page`` writes it.
        count: how many.
    """
    from docutils.core import publish_doctree

    items = [line for line in page.splitlines() if line.startswith("* ")][:count]
    # Links lead to elsewhere on the page; braces are escaped for Snakemake.
    items = [re.sub(r"`([^`]+)`_", r"\1", item.replace(*BRACE)) for item in items]
    settings = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    trees = [publish_doctree(item, settings_overrides=settings) for item in items]
    return [" ".join(tree.astext().split()) for tree in trees]
