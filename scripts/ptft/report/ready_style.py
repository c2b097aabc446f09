"""The style of Snakemake's report, ready made: its page has each browser make it, for a second.

``report_style.css`` is what Tailwind, which the page brings with it, makes for the class names in
the page's scripts. ``tests/browser/report_style.py`` writes it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

READY = Path(__file__).with_name("report_style.css")


def style_source(page: str) -> tuple[str, str] | None:
    """What the style of a report hangs on: Tailwind, and the scripts that name the classes.

    None of a page that is not made as the one we know.
    """
    tailwind = re.search(r"<script>(.*?)</script>", page, re.S)
    scripts = re.search(r'<script id="logo">.*</body>', page, re.S)
    return (tailwind[1], scripts[0]) if tailwind and scripts else None


def digest(source: tuple[str, str]) -> str:
    """Name of a style's source, the first line of ``report_style.css``."""
    return hashlib.sha256("\n".join(source).encode()).hexdigest()


def with_ready_style(page: str) -> str:
    """A report as Snakemake makes it, with its style in place of the program that makes it.

    Another version of Snakemake's page keeps its program.
    """
    source = style_source(page)
    style = READY.read_text(encoding="utf-8")
    if source is None or digest(source) not in style.partition("\n")[0]:
        return page
    page = page.replace(f"<script>{source[0]}</script>", "", 1)
    return page.replace("</head>", f"<style>{style}</style>\n</head>", 1)
