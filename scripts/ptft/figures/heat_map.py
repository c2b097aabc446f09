"""A heat map whose cells may have a number but no colour."""

from __future__ import annotations

from collections.abc import Sequence

import seaborn
from matplotlib.axes import Axes

from ptft.figures.style import PALE


def heat_map(
    ax: Axes, values: Sequence[Sequence[float]], labels: Sequence[Sequence[str]], **options: object
) -> None:
    """Draw ``values`` (rows, columns) as colours with their ``labels``.

    A NaN cell has no colour; its label, if any, is pale.

    Args:
        ax: where.
        values: shown as colours.
        labels: written in the cells.
        options: of ``seaborn.heatmap``.
    """
    shown = {"annot": labels, "fmt": "", "annot_kws": {"size": 7}, "cbar": False}
    seaborn.heatmap(values, ax=ax, **shown, **options)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if value != value:
                ax.text(x + 0.5, y + 0.5, labels[y][x], ha="center", va="center", color=PALE)
    ax.set_xticks([x + 0.5 for x in range(len(values[0]))])
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
