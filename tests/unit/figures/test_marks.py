"""Legends under panels, and lines of text that break where a reader would break them."""

import polars as pl
import pytest

from ptft.figures.marks import curve, panel_legend
from ptft.figures.style import panels, wrapped


@pytest.mark.parametrize(("names", "shown"), [(["one", "two"], True), (["Panel"], False)])
def test_a_legend_is_below_its_panel_unless_the_title_names_the_only_line(names, shown):
    figure, [ax] = panels(1, 1, height=2.5)
    for number, name in enumerate(names):
        rows = pl.DataFrame({"x": [0.0, 1.0], "y": [0.1, 0.2], "ci_low": None, "ci_high": None})
        curve(ax, rows, "y", name, number)
    ax.set_title("Panel", loc="left")
    panel_legend(ax)
    figure.draw_without_rendering()
    legend = ax.get_legend()
    assert (legend is not None) == shown
    assert legend is None or legend.get_window_extent().y1 < ax.get_window_extent().y0


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("not learned (test sets: 7)", 20, ["not learned", "(test sets: 7)"]),
        ("QQP (no score)", 10, ["QQP", "(no score)"]),
        ("learned in pre-training", 16, ["learned in", "pre-training"]),
        ("a (longer than the line)", 12, ["a (longer", "than the", "line)"]),
        # After the comma, not within a word; no line begins with a stop.
        ("事前学習で、習得済みのもの", 20, ["事前学習で、", "習得済みのもの"]),
        ("事前学習。 灰色", 40, ["事前学習。灰色"]),
        ("微調整微調整。", 12, ["微調整微調整。"]),
    ],
)
def test_lines_break_where_a_reader_would_break_them(text, columns, lines):
    assert wrapped(text, columns) == lines
