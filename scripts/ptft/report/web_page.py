"""Self-contained web pages, which load nothing.

Snakemake's report shows such a page in a frame; it also opens by itself.
"""

from __future__ import annotations

import html

STYLE = """
:root { color-scheme: light; font-family: system-ui, sans-serif; font-size: 14px; }
body { margin: 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.2rem; margin: 0 0 .5rem; }
details { margin-bottom: .75rem; max-width: 48rem; }
details pre { white-space: pre-wrap; font: inherit; }
.bar { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin-bottom: .5rem; }
"""


def web_page(title: str, style: str, body: str, language: str) -> str:
    """A whole HTML page.

    Args:
        title: text.
        style: CSS, after the style that all pages share.
        body: HTML, scripts included.
        language: its code.
    """
    heading = f'<h1 id="title">{html.escape(title)}</h1>'
    return html_page(
        title, f"{STYLE}{style}", f"<body>\n<main>\n{heading}\n{body}\n</main>\n</body>", language
    )


def html_page(title: str, style: str, body: str, language: str) -> str:
    """The frame of any page: its head, and the given body element."""
    return f"""<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
{body}
</html>
"""
