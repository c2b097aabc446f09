"""Numbers, names and tables as the report's text writes them (reStructuredText)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ptft.language import Say


def number(value: float) -> str:
    """Three decimals, with a true minus sign."""
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, 3) + 0:.3f}".replace("-", "−")


def change(value: float, low: float | None, high: float | None, say: Say, level: float) -> str:
    """`+0.400 (95 % interval 0.350 to 0.450)`, without the interval where it is unknown."""
    text = ("+" if value >= 0 else "") + number(value)
    if low is None or high is None:
        return text
    interval = say("{level} % interval {low} to {high}").format(
        level=f"{100 * level:g}", low=number(low), high=number(high)
    )
    return f"{text} ({interval})"


def listed(names: Sequence[str]) -> str:
    """Names as inline literals, joined by commas; a dash for none."""
    return ", ".join(f"``{name}``" for name in names) or "–"


def csv_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A reStructuredText table; empty without rows. Cells must hold no comma."""
    if not rows:
        return ""
    lines = [".. csv-table::", "   :header-rows: 1", "", "   " + ", ".join(heads)]
    return "\n".join([*lines, *("   " + ", ".join(row) for row in rows)])


def bullets(lines: Iterable[str]) -> list[str]:
    """Lines as the items of a list."""
    return [f"* {line}" for line in lines]
