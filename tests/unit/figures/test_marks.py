"""Labels beside lines: near their lines, apart from one another; a legend where they are not."""

import polars as pl
import pytest

from ptft.figures.marks import curve, panel_legend, settle_labels, spread
from ptft.figures.style import panels, wrapped


def test_what_would_touch_is_put_together():
    assert spread([0.1, 0.5], [0.1, 0.1]) == pytest.approx([0.1, 0.5])
    assert spread([0.5, 0.5], [0.1, 0.1]) == pytest.approx([0.45, 0.55])
    # Three, of which the second pushes the first into the third.
    assert spread([0.3, 0.42, 0.44], [0.2, 0.1, 0.1]) == pytest.approx(
        [0.287, 0.437, 0.537], abs=1e-3
    )


@pytest.mark.parametrize(
    ("ends", "beside"),
    [
        ({"one": 0.2, "another one": 0.8}, True),
        ({f"line {n}": 0.5 for n in range(4)}, False),  # on one another
        ({f"line {n}": n / 5 for n in range(5)}, False),  # too many
        ({"a name as long as no line of it fits": 0.5}, True),
        ({"微調整の課題自身のテストセット、ほかの系統のものも含めて": 0.5}, False),
    ],
)
def test_labels_are_beside_the_lines_where_they_fit(ends, beside):
    figure, [ax] = panels(1, 1, height=2.5)

    for number, (label, end) in enumerate(ends.items()):
        rows = pl.DataFrame({"x": [0.0, 1.0], "y": [0.1, end], "ci_low": None, "ci_high": None})
        curve(ax, rows, "y", label, number)
    ax.set_ylim(0, 1)
    panel_legend(ax)
    assert (ax.get_legend() is None) == beside and len(ax.texts) == len(ends) * beside
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    whole = figure.bbox
    assert all(box.x1 <= whole.x1 and box.x0 >= ax.get_window_extent().x1 for box in boxes)


def test_labels_that_a_small_panel_would_press_together_are_moved_apart():
    figure, axes = panels(2, 1, height=2.5)
    for number, (label, end) in enumerate({"one\nof two": 0.45, "other\nof two": 0.55}.items()):
        rows = pl.DataFrame({"x": [0.0, 1.0], "y": [0.1, end], "ci_low": None, "ci_high": None})
        curve(axes[0], rows, "y", label.replace("\n", " with a long name "), number)
    axes[0].set_ylim(0, 1)
    panel_legend(axes[0])
    first, second = axes[0].texts
    figure.set_size_inches(8, 1.6)  # less room than was planned
    figure.draw_without_rendering()
    assert first.get_window_extent().overlaps(second.get_window_extent())
    settle_labels(figure)
    low, high = first.get_window_extent(), second.get_window_extent()
    assert low.y1 == pytest.approx(high.y0, abs=0.5)


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
