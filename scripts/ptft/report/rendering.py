"""Templates, numbers and small drawings: what all pages share.

Texts of a study are escaped by Jinja, data is packed (:func:`packed`). Pages load nothing.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ptft import language
from ptft.analysis.csv_tables import csv_text
from ptft.analysis.findings import Curve, Finding
from ptft.analysis.tuned_models import CHOSEN

TEMPLATES = Path(__file__).parent / "templates"
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
TOLD = "ask:"
"""begins the id of what tells its points, as ``ptft.figures.marks`` writes it"""
NAMES = "names:"
"""begins the id of a text that names a series"""
METHODS = {
    "full": "full fine-tuning",
    "lora": "LoRA",
    "oft": "OFT",
    "instruct": "instruction tuning",
}
DERIVED = {
    "interpolate": "interpolated",
    "noise": "with noise",
    "soup": "soup",
    "step": "stopped on the way",
}
SETTINGS = {CHOSEN: "chosen by validation", "then": "after another task"}
"""what is a setting by name, but none that was set"""


def render(name: str, **values: Any) -> str:
    """A page of a template, in the language in use.

    Args:
        name: of the template; its styles and scripts are in files beside it.
        values: that it needs.
    """
    return environment(language.used()).get_template(name).render(**values)


@cache
def environment(code: str) -> Environment:
    """Templates with the sentences of a language: ``say`` is the module of its macros."""
    found = Environment(
        loader=FileSystemLoader([TEMPLATES / code, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "listed": listed, "points": points, "percent": percent, "decimal": decimal,
        "minus": minus, "thousands": thousands, "short": language.short_number,
        "dataset": language.dataset, "task": language.task, "p_value": p_value,
        "titles": lambda names: listed(map(language.dataset, names)),
        "tasks": lambda names: listed(map(language.task, names)),
        "flag": language.if_known, "sentence_case": lambda text: text[:1].upper() + text[1:],
    }  # fmt: skip
    found.globals |= {
        "label": language.label,
        "lang": language.used,
        "asset": asset,
        "arm": arm_name,
    }
    found.globals["say"] = found.get_template("sentences.jinja").make_module()
    return found


def asset(name: str) -> Markup:
    """A style or script, to be put into the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def sentence(finding: Finding) -> str:
    """The sentence of a finding, as plain text."""
    said = environment(language.used()).globals["say"]
    return " ".join(Markup(getattr(said, finding.kind)(finding)).unescape().split())


def has_sentence(finding: Finding) -> bool:
    """Whether a finding is said, rather than a row of a table."""
    return hasattr(environment(language.used()).globals["say"], finding.kind)


# Numbers.


def minus(text: str) -> str:
    """A true minus sign."""
    return text.replace("-", "−")


def digits(value: float, low: float | None, high: float | None) -> int:
    """Decimals of a number in points that its interval allows; without one, by its size."""
    if low is None or high is None:
        return 0 if abs(value) >= 10 else 1
    half = (high - low) / 2
    return 0 if half >= 1 else 1 if half >= 0.1 else 2


def points(
    value: float | None, low: float | None = None, high: float | None = None, sign: bool = False
) -> str:
    """A score or a change between -1 and 1 in points of 100: `+36`; a dash for None."""
    if value is None or math.isnan(value):
        return "–"
    scaled = [None if end is None else 100 * end for end in (low, high)]
    text = f"{100 * value:{'+' if sign else ''}.{digits(100 * value, *scaled)}f}"
    return minus(text if text.strip("+-0.") else text.lstrip("+-"))


def percent(value: float | None, sign: bool = False) -> str:
    """A share in percent, without the sign of percent."""
    return points(value, 0.0, 1.0, sign)


def written_texts(texts: pl.DataFrame | None) -> list[dict[str, Any]]:
    """Texts of each checkpoint for its replay: a row of the table, and its first texts."""
    if texts is None:
        return []
    shares = ("ended", "repetition", "duplicates")
    return [
        {
            "row": (
                *(row["checkpoint"], row["text"], str(row["samples"]), f"{row['tokens_mean']:.0f}"),
                *(percent(row[share]) for share in shares),
            ),
            "shown": json.loads(row["shown"]),
        }
        for row in texts.rows(named=True)
    ]


def decimal(value: float | None, places: int = 3, sign: bool = False) -> str:
    """A number with so many decimals; a dash for None."""
    if value is None:
        return "–"
    return minus(f"{round(value, places) + 0:{'+' if sign else ''}.{places}f}")


def thousands(value: float) -> str:
    """`21,400`."""
    return f"{value:,.0f}"


def p_value(p: float | None) -> str:
    """`.049`, `< .001`; a dash for None."""
    if p is None:
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def interval_text(value: float | None, low: float | None, high: float | None, sign: bool) -> str:
    """`+36 (29 to 42)` in points."""
    text = points(value, low, high, sign)
    if value is None or low is None or high is None:
        return text
    ends = [points(end, low, high) for end in (low, high)]
    span = language.label("{low} to {high}").format(low=ends[0], high=ends[1])
    return text + language.label(" ({text})").format(text=span)


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names joined by commas of the language; a dash for none, and how many more there are."""
    found = [str(name) for name in names]
    shown = language.label(", ").join(found[:most]) or "–"
    return shown if len(found) <= most else f"{shown} … (+{len(found) - most})"


def arm_name(about: Mapping[str, Any], seeds: bool = True) -> str:
    """Method, setting, derivation and seeds of models, in words."""
    method = about.get("method")
    setting = about.get("setting")
    parts = [language.label(METHODS[method]) if method in METHODS else method]
    parts.append(language.label(SETTINGS[setting]) if setting in SETTINGS else setting)
    if about.get("derived"):
        strength = about.get("strength")
        said = language.if_known(DERIVED.get(about["derived"], about["derived"]))
        parts.append(said + ("" if strength is None else f" {strength:g}"))
    if seeds and about.get("seeds"):
        one = about["seeds"] == 1
        parts.append(
            language.label("one seed")
            if one
            else language.label("{n} seeds").format(n=about["seeds"])
        )
    return language.label(", ").join(filter(None, parts))


# Small drawings, as numbers for the templates.


def bar(
    value: float | None,
    low: float | None,
    high: float | None,
    least: float,
    most: float,
    marks: Sequence[float | None] = (),
) -> dict[str, Any] | None:
    """An interval on a scale: places in percent of its width; None without a value.

    Args:
        value, low, high: number and interval.
        least, most: ends of the scale.
        marks: other values to mark, as chance.
    """
    if value is None:
        return None

    def place(number: float) -> float:
        return round(100 * (min(max(number, least), most) - least) / (most - least), 1)

    return {
        "at": place(value),
        "low": None if low is None else place(low),
        "high": None if high is None else place(high),
        "zero": place(0.0) if least < 0 < most else None,
        "marks": [place(mark) for mark in marks if mark is not None],
    }


def spark(curve: Curve) -> dict[str, Any] | None:
    """A curve as the points of a line in a box of 100 by 30; None for fewer than two."""
    known = [(at, value) for at, (_, value) in enumerate(curve) if value is not None]
    if len(known) < 2:
        return None
    values = [value for _, value in known]
    low, high = min(values), max(values)
    room = (high - low) or 1.0
    width = max(1, len(curve) - 1)
    line = [
        (round(3 + 94 * at / width, 1), round(27 - 24 * (value - low) / room, 1))
        for at, value in known
    ]
    zero = round(27 - 24 * (0 - low) / room, 1) if low < 0 < high else None
    text = ", ".join(f"{name} {decimal(value, 2)}" for name, value in curve)
    return {"line": line, "last": line[-1], "zero": zero, "text": text}


def inline_svg(file: Path, name: str, title: str) -> tuple[Markup, bool]:
    """A figure as an element of a page, its ids made its own; and whether points can be asked.

    A line whose id begins with ``TOLD`` holds JSON: `series`, and `points`, the text of each of
    its marks. Such marks get a label that pointer, finger and keys can ask for.

    Args:
        file: SVG that matplotlib wrote.
        name: of the figure, before each id.
        title: for who does not see it.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.parse(file).getroot()
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    asked = False
    for element in root.iter():
        given = element.get("id", "")
        if given.startswith(TOLD):
            asked = _ask(element, json.loads(given.removeprefix(TOLD))) or asked
            element.attrib.pop("id")
        elif given.startswith(NAMES):
            element.set("data-names", element.attrib.pop("id").removeprefix(NAMES))
        elif given:
            element.set("id", f"{name}-{given}")
        for key, value in element.attrib.items():
            if key in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    # As large as its type needs to be read, not as wide as the page.
    width = float(root.get("viewBox", "0 0 576 0").split()[2])
    root.set("style", f"--drawn:{0.1 * width:.1f}rem")
    root.set("role", "group" if asked else "img")
    root.set("aria-label", title)
    return Markup(ElementTree.tostring(root, encoding="unicode")), asked


def _ask(line: ElementTree.Element, told: Mapping[str, Any]) -> bool:
    """Give each mark of a line its text; False where they are not as many as the texts."""
    line.set("data-series", told["series"])
    # What tells one thing is asked as a whole: a bar, a number in a cell.
    one = len(told["points"]) == 1
    marks = [line] if one else list(line.iter(f"{{{SVG}}}use"))
    if len(marks) != len(told["points"]) or not marks:
        return False
    for mark, text in zip(marks, told["points"], strict=True):
        mark.set("class", "point")
        mark.set("role", "img")
        mark.set("aria-label", f"{told['series']}: {text}")
    return True


# Data in scripts.


def packed(text: str) -> str:
    """Text compressed, for a page's script to unpack; the same text gives the same bytes."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def packed_tables(tables: Mapping[str, pl.DataFrame]) -> str:
    """Tables as CSV with the types that a reader sorts by, compressed."""
    return packed(
        json.dumps(
            {
                name: {
                    "numbers": [key for key, kind in table.schema.items() if kind.is_numeric()],
                    "csv": csv_text(table),
                }
                for name, table in tables.items()
            }
        )
    )
