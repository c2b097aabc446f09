"""Numbers, names and tables in the report's text (reStructuredText)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence

from ptft.analysis.settings import Settings
from ptft.language.translation import Translate


def plain(text: str) -> str:
    """Text from outside, a study's or the Hub's, as mere text.

    Every mark outside words is escaped, so that no directive, link or markup is left. Paragraphs
    are kept.
    """
    paragraphs = re.split(r"\n\s*\n", text.strip())
    lines = (" ".join(re.sub(r"[\x00-\x1f\x7f]", " ", part).split()) for part in paragraphs)
    mark = r"(?!(?<=[^\W_])[-._/,][^\W_])([^\w\s]|_)"
    return "\n\n".join(re.sub(mark, r"\\\1", line) for line in lines)


def literal(text: str) -> str:
    """A name as an inline literal; as plain text if it would end the literal."""
    return f"``{text}``" if re.fullmatch(r"[^\s`]([^`\n]*[^\s`])?", text) else plain(text)


def without_templates(page: str) -> str:
    """A page in which Snakemake, which reads it as a Jinja template, finds no template.

    The report's front page has none.
    """
    return page.replace("{", "{{ '{' }}")


def number(value: float) -> str:
    """Three decimals, with a true minus sign."""
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, 3) + 0:.3f}".replace("-", "−")


def p_value(p: float) -> str:
    """`= 0.049`, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {number(p)}"


def change(
    value: float, low: float | None, high: float | None, translate: Translate, level: float
) -> str:
    """`+0.400 (95 % interval 0.350 to 0.450)`, without the interval if it is unknown."""
    text = ("+" if value >= 0 else "") + number(value)
    if low is None or high is None:
        return text
    interval = translate("{level} % interval {low} to {high}").format(
        level=f"{100 * level:g}", low=number(low), high=number(high)
    )
    return text + bracketed(interval, translate)


def span(value: float | None, low: float | None, high: float | None) -> str:
    """`+0.400 (0.350 – 0.450)`, for a cell whose head names the interval; a dash for no value."""
    if value is None:
        return "–"
    text = ("+" if value >= 0 else "") + number(value)
    return text if low is None or high is None else f"{text} ({number(low)} – {number(high)})"


def interval_head(head: str, settings: Settings, translate: Translate) -> str:
    """Head of a column; heads that end with `interval` get the level."""
    said = translate(head)
    if not head.endswith("interval"):
        return said
    return translate("{head}, {level} %").format(head=said, level=f"{100 * settings.level:g}")


def bracketed(text: str, translate: Translate) -> str:
    """` (text)`, to follow a word; in brackets of the language."""
    return translate(" ({text})").format(text=text)


def parted(page: str) -> str:
    """Separate literals and bold words from wide letters beside them, which would not end them.

    The escaped space is invisible in the page.
    """

    def part(found: re.Match[str]) -> str:
        before, after = page[found.start() - 1 : found.start()], page[found.end() : found.end() + 1]
        left = "\\ " if re.match(r"[\u3040-\u30ff\u3400-\u9fff]", before) else ""
        right = "\\ " if re.match(r"[\u3040-\u30ff\u3400-\u9fff（]", after) else ""
        return left + found[0] + right

    return re.sub(r"``[^`\n]+``|\*\*[^*\n]+\*\*", part, page)


def would_be_seen(detectable: Iterable[float | None], translate: Translate) -> str:
    """Sentence on the detectable difference, or its range, with a space in front; empty if unknown.

    Args:
        detectable: of each comparison (``ptft.analysis.statistics.smallest_detectable``).
    """
    known = sorted(value for value in detectable if value is not None)
    if not known:
        return ""
    least, most = number(known[0]), number(known[-1])
    if least == most:
        sentence = translate("Detectable with 80 % power: {least}.")
    else:
        sentence = translate("Detectable with 80 % power: {least} to {most}.")
    return " " + sentence.format(least=least, most=most)


def listed(names: Sequence[str]) -> str:
    """Names as inline literals, joined by commas; a dash for none."""
    return ", ".join(map(literal, names)) or "–"


def csv_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are reStructuredText; empty without rows."""
    if not rows:
        return ""
    lines = [".. csv-table::", "   :header-rows: 1", ""]
    return "\n".join([*lines, *("   " + ", ".join(map(_cell, row)) for row in [heads, *rows])])


def _cell(text: str) -> str:
    """A cell, quoted if a comma or a quote would end it."""
    return '"' + text.replace('"', '""') + '"' if re.search('[,"]', text) else text


# Data of a picture a line: docutils gives up a page with a line of more than 10,000 characters.
LINE = 4000


def picture(svg: bytes, alt: str) -> str:
    """An image inside the page: no file beside it, no request."""
    data = base64.b64encode(svg).decode()
    lines = [data[at : at + LINE] for at in range(0, len(data), LINE)]
    head = f".. image:: data:image/svg+xml;base64,\n      {lines[0]}"
    rest = "".join(f"\n      {line}" for line in lines[1:])
    return f"{head}{rest}\n   :width: 100%\n   :alt: {alt}"


def boxed(name: str, paragraphs: Iterable[str]) -> str:
    """Paragraphs in an element of the class ``name``."""
    text = "\n\n".join(paragraphs)
    indented = "\n".join(f"   {line}" if line else "" for line in text.split("\n"))
    return f".. container:: {name}\n\n{indented}"


# Paragraphs of these classes begin and end what is folded away (``ptft.report.embedding``).
FOLD, FOLD_END = "ptft-fold", "ptft-fold-end"


def folded(summary: str, paragraphs: Sequence[str]) -> list[str]:
    """Paragraphs that a reader can open; empty without paragraphs."""
    if not paragraphs:
        return []
    begin, end = f".. class:: {FOLD}\n\n{summary}", f".. class:: {FOLD_END}\n\n\u2060"
    return [begin, *paragraphs, end]


def heading(text: str, underline: str) -> str:
    """A heading; ``underline`` is the mark of its level."""
    # Wide characters count double in reStructuredText's underlines.
    return f"{text}\n{underline * (2 * len(text))}"


def bullets(lines: Iterable[str]) -> list[str]:
    """Lines as the items of a list."""
    return [f"* {line}" for line in lines]
