"""The horizontal axis that all figures share: positions and labels of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import polars as pl
from matplotlib.axes import Axes

from ptft import language

CHECKPOINT = ["checkpoint", "step", "tokens", "index"]
# Distances of neighbours on the axis: of two that are nearly the same, and where it jumps.
NEAR, EVEN, FAR = 0.35, 1.0, 1.4
# Nearly the same: fewer than 1 % more steps. A jump: more than thrice the usual, in steps and in
# proportion, so that checkpoints on a log scale have none.
SAME, JUMP = 1.01, 3.0
LABEL_WIDTH = 0.33  # inches


def distances(seen: Sequence[float | None]) -> list[float]:
    """Distances between neighbouring checkpoints, from their steps or tokens ``seen``.

    ``NEAR`` for two that are nearly the same (they show noise), ``FAR`` for a long stretch without
    checkpoints, else ``EVEN``.
    """
    pairs = [
        (b - a, b / a) if a and b and b >= a else None for a, b in zip(seen, seen[1:], strict=False)
    ]
    apart = [pair for pair in pairs if pair is not None and pair[1] >= SAME]
    usual = [median(values) for values in zip(*apart, strict=True)] if len(apart) > 2 else []

    def distance(pair: tuple[float, float] | None) -> float:
        if pair is None:
            return EVEN
        if pair[1] < SAME:
            return NEAR
        far = usual and all(p > JUMP * u for p, u in zip(pair, usual, strict=True))
        return FAR if far else EVEN

    return [distance(pair) for pair in pairs]


def positions(checkpoints: pl.DataFrame) -> list[float]:
    """Positions of checkpoints (step, tokens; in order of pre-training), the first one at 0."""
    known = "step" if checkpoints["tokens"].null_count() else "tokens"
    places = [0.0]
    for distance in distances(checkpoints[known].to_list()):
        places.append(places[-1] + distance)
    return places[: len(checkpoints)]


def placed_on(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Add the position ``x`` of the checkpoint to every table that has checkpoints."""
    having = [table.select(CHECKPOINT) for table in tables.values() if "index" in table.columns]
    if not having:
        return dict(tables)
    checkpoints = pl.concat(having).unique("index").sort("index")
    places = pl.Series("x", positions(checkpoints), pl.Float64)
    at = checkpoints.select("index").with_columns(places)
    return {
        name: table.join(at, on="index", how="left", maintain_order="left")
        if "index" in table.columns
        else table
        for name, table in tables.items()
    }


def claimed(tables: Mapping[str, pl.DataFrame], claim: str) -> pl.DataFrame:
    """Rows of table `claims` of one kind: what a title may say.

    Their limits hold for all claims of a study at once, as on its page. Of several methods those of
    the first, unless they are what is compared.
    """
    rows = tables["claims"].filter(pl.col("claim") == claim)
    first = pl.col("method").eq_missing(pl.col("method").min())
    return rows if claim in COMPARED else rows.filter(first)


COMPARED = ("spared", "headroom", "gap", "drop", "text")


def checkpoint_labels(checkpoints: pl.DataFrame) -> list[str]:
    """Tokens of checkpoints; without tokens, their steps or names."""
    known = "step" if checkpoints["tokens"].null_count() else "tokens"
    return [
        name if seen is None else language.short_number(seen)
        for name, seen in checkpoints.select("checkpoint", known).iter_rows()
    ]


def checkpoint_axis(ax: Axes, table: pl.DataFrame) -> None:
    """Label the checkpoints of ``table`` by tokens; a break marks a long gap between two."""
    checkpoints = table.select(*CHECKPOINT, "x").unique().sort("index")
    ax.tick_params(axis="both", pad=1, length=2)
    what = "pre-training step" if checkpoints["tokens"].null_count() else "pre-training tokens"
    ax.set_xlabel(language.label(what))
    places = checkpoints["x"].to_list()
    labels = checkpoint_labels(checkpoints)
    ax.set_xlim(-0.4, places[-1] + 0.4)
    ax.set_xticks(places, _that_fit(labels, places, _width(ax)))
    ax.grid(visible=False, axis="x")
    for left, right in zip(places, places[1:], strict=False):
        if right - left == FAR:
            _break(ax, (left + right) / 2)


def _width(ax: Axes) -> float:
    """Approximate width of a panel of the figure's grid, in inches."""
    place = ax.get_subplotspec()
    columns = place.get_gridspec().ncols if place else 1
    return ax.get_figure().get_size_inches()[0] / columns - 0.5


def _that_fit(labels: Sequence[str], places: Sequence[float], width: float) -> list[str]:
    """Labels, but empty where they would touch another; the first and the last one stay."""
    whole = places[-1] - places[0] or 1.0
    room = LABEL_WIDTH * max(1.0, max(map(len, labels)) / 5) / width * whole
    kept = [len(labels) - 1]
    # Of two checkpoints that are nearly the same, one label in the place of the first.
    if len(labels) > 1 and places[-1] - places[-2] == NEAR:
        kept = [len(labels) - 2]
    for at in range(len(labels)):
        last = [k for k in kept if k <= at]
        if (not last or places[at] - places[max(last)] >= room) and (
            at == 0 or at > kept[0] or places[kept[0]] - places[at] >= room
        ):
            kept.append(at)
    return [label if at in kept else "" for at, label in enumerate(labels)]


def _break(ax: Axes, at: float) -> None:
    """Two slanted strokes across the axis line."""
    across = ax.get_xaxis_transform()
    line = {"transform": across, "clip_on": False, "zorder": 5, "label": "_break"}
    ax.plot([at - 0.12, at + 0.12], [0, 0], color="white", linewidth=2, **line)
    for shift in (-0.1, 0.1):
        ends = [at + shift - 0.06, at + shift + 0.06]
        ax.plot(ends, [-0.025, 0.025], color="black", linewidth=0.6, marker="", **line)
