"""Shared parts of all figures: sizes, fonts, colours, headline, and saving."""

from __future__ import annotations

import logging
import math
import re
import textwrap
import unicodedata
from importlib.util import find_spec
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from ptft import language

# Inches. A figure is drawn at the size it is printed in, so its type needs no scaling.
COLUMN, PAGE = 3.3, 8.0
# Okabe and Ito's colours, told apart with any common colour blindness; yellow left out (too faint
# on white), grey kept for base models.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"
# What is drawn but says nothing.
PALE = "#B4B4B4"
# The package is only used for the font file in it: importing it would change matplotlib's settings.
JAPANESE_FONT = Path(find_spec("matplotlib_fontja").origin).parent / "fonts/ipaexg.ttf"
RC = {
    # Each character comes from the first font that has it.
    "font.family": ["DejaVu Sans", "IPAexGothic"],
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    # A dollar sign in a name is no formula.
    "text.parse_math": False,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    # Text as outlines: the same on every reader's machine. The salt makes ids repeat.
    "svg.fonttype": "path",
    "svg.hashsalt": "ptft",
    "figure.dpi": 200,
    "savefig.dpi": 200,
}


FAILED, WARNED = "_failed", "_warned"
CROSS = {"marker": "x", "markersize": 7, "markeredgewidth": 1.2}
RING = {"marker": "o", "markersize": 7, "markerfacecolor": "none"}
MARKS: dict[str, tuple[str, dict]] = {
    FAILED: ("×: not every seed learned.", CROSS),
    WARNED: ("○: a score with a warning.", RING),
}
"""label of marks over points -> what the grey line says of them, how they look"""


HIDDEN = (
    "Grey: untrained models are right already, as a constant answer is where labels are hidden; "
    "not a score."
)
"""label below figures with scores on hidden labels"""


def apply_style() -> None:
    """Set matplotlib up for every figure of this package."""
    matplotlib.use("Agg")
    # The Japanese font has one weight; that is no news.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    if "IPAexGothic" not in {font.name for font in fontManager.ttflist}:
        fontManager.addfont(JAPANESE_FONT)
    matplotlib.rcParams.update(RC)


def panels(count: int, columns: int, height: float = 1.55, width: float = PAGE) -> tuple:
    """A figure of ``count`` panels in rows of at most ``columns``.

    Returns:
        (figure, list of ``count`` axes), without empty panels.
    """
    columns = min(columns, count)
    figure, grid = panel_grid(math.ceil(count / columns), columns, height, width)
    axes = list(grid.flat)
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count]


def panel_grid(rows: int, columns: int, height: float = 1.55, width: float = PAGE) -> tuple:
    """A figure and its axes (rows, columns), each row ``height`` inches."""
    apply_style()
    figure = Figure(figsize=(width, height * rows + 0.35), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def is_wide(letter: str) -> bool:
    """Whether a letter is twice as wide, as Japanese letters are."""
    return unicodedata.east_asian_width(letter) in "WF"


def wrapped(text: str, columns: int) -> list[str]:
    """Lines of at most ``columns`` letters; wide ones count double.

    Lines break between words, but not in short brackets. Wide letters break after a comma or stop
    in the second half of a line, else anywhere.
    """
    if not any(map(is_wide, text)):
        glued = re.sub(r"\([^()]*\)", lambda found: _glued(found[0], columns), text)
        lines = textwrap.wrap(glued, columns, break_on_hyphens=False)
        return [line.replace("\xa0", " ") for line in lines]
    lines, width = [""], 0
    for letter in text.replace("。 ", "。"):
        room = 2 if is_wide(letter) else 1
        if width + room > columns and letter not in "、。，．：？）)":
            at = max(lines[-1].rfind(mark) for mark in "、。") + 1
            kept = lines[-1][:at] if 2 * at > len(lines[-1]) else lines[-1]
            lines[-1:] = [kept, lines[-1][len(kept) :]]
            width = sum(2 if is_wide(other) else 1 for other in lines[-1])
        lines[-1] += letter
        width += room
    return [line.strip() for line in lines]


def _glued(words: str, columns: int) -> str:
    """Words kept together if they fit in one line."""
    return words.replace(" ", "\xa0") if len(words) <= columns else words


def headline(figure: Figure, title: str, below: str) -> None:
    """Put the finding as title, and a grey line with measure and unit, above the panels.

    The grey line also says what marks over points mean.
    """
    drawn = {line.get_label() for ax in figure.axes for line in ax.get_lines()}
    below = " ".join(
        [below, *(language.label(told) for mark, (told, _) in MARKS.items() if mark in drawn)]
    )
    width, height = figure.get_size_inches()
    titles, lines = wrapped(title, int(width * 12.5)), wrapped(below, int(width * 17.5))
    room = 0.2 * len(titles) + 0.15 * len(lines) + 0.12
    figure.set_size_inches(width, height + room)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, 0, 1, height / (height + room)))
    for at, text, style in (
        (0.06, titles, {"fontsize": 10, "fontweight": "bold"}),
        (0.08 + 0.2 * len(titles), lines, {"fontsize": 7.5, "color": GREY}),
    ):
        top = 1 - at / (height + room)
        figure.text(0.08 / width, top, "\n".join(text), va="top", ha="left", **style)
    for text in figure.findobj(Text):
        _weigh_evenly(text)


def _weigh_evenly(text: Text) -> None:
    """Thicken bold text that has wide letters by an outline: their font has one weight."""
    if text.get_fontweight() == "bold" and any(map(is_wide, text.get_text())):
        text.set_fontweight("normal")
        text.set_path_effects([withStroke(linewidth=0.5, foreground=text.get_color())])


def nothing_to_draw(why: str = "nothing to show") -> Figure:
    """A figure that says, in the language in use, why there is nothing in it."""
    apply_style()
    figure = Figure(figsize=(COLUMN, 1.2))
    figure.text(0.5, 0.5, language.label(why), ha="center", va="center", wrap=True, color=GREY)
    return figure


METADATA = {".svg": {"Date": None, "Creator": "matplotlib"}, ".png": {"Software": None}}


def save(figure: Figure, *files: Path) -> None:
    """Write SVG and PNG files; the same figure gives the same bytes."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, metadata=METADATA[file.suffix])
