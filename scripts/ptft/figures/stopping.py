"""When to stop: tuned scores in % of the last one, with the stop found by the rule."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from seaborn import light_palette

from ptft.analysis.tables.stopping import CURVE
from ptft.figures.axis import CHECKPOINT, checkpoint_labels, distances
from ptft.figures.heat_map import heat_map
from ptft.figures.marks import method_suffix
from ptft.figures.style import COLOURS, GREY, PAGE, PALE, apply_style, headline, nothing_to_draw
from ptft.language.words import Words

# Share of the last score that is white; what is at it or above has the full colour.
WHITE = 40
SHADE = "#8DBBE0"


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One row per task, dataset and method; one cell per checkpoint; framed: possible stops."""
    stops = tables["stopping"]
    if stops.is_empty():
        return nothing_to_draw(words("no task has tuned models at two checkpoints"))
    apply_style()
    stops = stops.sort("too_low", "safe_index", "stop_index", *CURVE, nulls_last=True)
    gains = tables["gains"].filter(pl.col("domain") == "in")
    checkpoints = gains.select(CHECKPOINT).unique().sort("index")
    shares = [_shares(stop, gains, checkpoints) for stop in stops.iter_rows(named=True)]
    figure = Figure(figsize=(PAGE, 0.27 * len(stops) + 0.5), layout="constrained")
    ax = figure.subplots()
    heat_map(
        ax,
        [
            [float("nan") if low else share for share in line]
            for line, low in zip(shares, stops["too_low"], strict=True)
        ],
        [["" if share != share else f"{share:.0f}" for share in line] for line in shares],
        vmin=WHITE,
        vmax=100,
        cmap=light_palette(SHADE, as_cmap=True),
        linewidths=1.5,
        xticklabels=False,
    )
    _label(ax, stops, checkpoints, words)
    for y, stop in enumerate(stops.iter_rows(named=True)):
        _mark(ax, y, stop, shares[y], words)
    headline(figure, _found(stops, words), _measured(stops, words))
    return figure


def _shares(stop: Mapping, gains: pl.DataFrame, checkpoints: pl.DataFrame) -> list[float]:
    """Tuned scores of a curve in % of its last one; NaN where there is none."""
    curve = gains.filter(pl.all_horizontal(pl.col(k).eq_missing(stop[k]) for k in CURVE))
    scores = dict(curve.select("index", "tuned").iter_rows())
    last = stop["last_score"]
    return [
        100 * scores[at] / last if at in scores and last else float("nan")
        for at in checkpoints["index"]
    ]


def _label(ax: Axes, stops: pl.DataFrame, checkpoints: pl.DataFrame, words: Words) -> None:
    """Label rows and columns; two nearly equal columns share a line."""
    methods = stops["method"].unique().sort().to_list()
    names = [
        words.dataset(stop["dataset"]) + method_suffix(stop["method"], methods)
        for stop in stops.iter_rows(named=True)
    ]
    ax.set_yticklabels(names, rotation=0)
    labels = checkpoint_labels(checkpoints)
    known = "step" if checkpoints["tokens"].null_count() else "tokens"
    apart = [*distances(checkpoints[known].to_list()), 1]
    ax.set_xticks([x + 0.5 for x in range(len(labels))], labels)
    ax.xaxis.tick_top()
    for x, distance in enumerate(apart[:-1], start=1):
        if distance > 1:
            ax.axvline(x, color="white", linewidth=6, zorder=2)
    ax.set_xlim(0, len(labels) + 2.6)
    ax.text(len(labels) + 0.15, -0.3, words("could be saved"), va="bottom", color=GREY)


def _mark(ax: Axes, y: int, stop: Mapping, shares: list[float], words: Words) -> None:
    """Draw the frames of a row, and what stopping there saves."""
    if stop["too_low"]:
        said, look = words("no verdict: too low for the margin"), {"color": PALE}
    else:
        frames = [(stop["stop_index"], ":"), (stop["safe_index"], "-")]
        for at, line in frames:
            if at is not None:
                frame = {"linewidth": 1.4, "linestyle": line, "edgecolor": COLOURS[1], "zorder": 3}
                ax.add_patch(Rectangle((at + 0.06, y + 0.08), 0.88, 0.84, fill=False, **frame))
        said, look = _saved(stop, words)
    ax.text(len(shares) + 0.15, y + 0.5, said, va="center", **look)


def _saved(stop: Mapping, words: Words) -> tuple[str, dict]:
    """The share of tokens saved, or a note that it is unsettled."""
    bare, sure = stop["stop_share_saved"], stop["safe_share_saved"]
    if sure:
        return words("{share} % of the tokens").format(share=f"{100 * sure:.0f}"), {
            "fontweight": "bold"
        }
    if bare:
        text = words("not settled ({share} % by the scores)").format(share=f"{100 * bare:.0f}")
        return text, {"color": GREY}
    return ("–" if bare is None else words("nothing")), {"color": GREY}


def _found(stops: pl.DataFrame, words: Words) -> str:
    """How many curves surely could have stopped early."""
    judged = stops.filter(~pl.col("too_low"), pl.col("safe_index").is_not_null())
    if judged.is_empty():
        return words("When pre-training could have stopped")
    early = (judged["safe_checkpoint"] != judged["last_checkpoint"]).sum()
    if not early:
        return words("No own test set shows that pre-training could have stopped earlier")
    return words("For {k} of {n} own test sets pre-training could have stopped earlier").format(
        k=early, n=len(judged)
    )


def _measured(stops: pl.DataFrame, words: Words) -> str:
    return words(
        "Score after fine-tuning, in % of the score at the end of pre-training (columns: tokens "
        "seen). Framed: from here on within {margin} of the last score, with confidence; dotted: "
        "by the scores alone. One pre-training run."
    ).format(margin=stops["margin"][0])
