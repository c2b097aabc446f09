"""Ready-made style of Snakemake's report, which each browser would otherwise make in a second.

``report_style.css`` is what Tailwind, which is in the page, makes for the class names in the page's
scripts. ``tests/browser/report_style.py`` writes it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

READY = Path(__file__).with_name("report_style.css")


def style_source(page: str) -> tuple[str, str] | None:
    """What decides the style of a report: Tailwind, and the scripts that name the classes.

    None for a page of unknown structure.
    """
    tailwind = re.search(r"<script>(.*?)</script>", page, re.S)
    scripts = re.search(r'<script id="logo">.*</body>', page, re.S)
    return (tailwind[1], scripts[0]) if tailwind and scripts else None


def digest(source: tuple[str, str]) -> str:
    """Digest of a style's source, as in the first line of ``report_style.css``."""
    return hashlib.sha256("\n".join(source).encode()).hexdigest()


def with_ready_style(page: str) -> str:
    """Snakemake's report, with the ready style in place of the program that makes it.

    A page of another Snakemake version keeps the program.
    """
    source = style_source(page)
    style = READY.read_text(encoding="utf-8")
    if source is None or digest(source) not in style.partition("\n")[0]:
        return page
    page = page.replace(f"<script>{source[0]}</script>", "", 1)
    return page.replace("</head>", f"<style>{style}</style>\n</head>", 1)
