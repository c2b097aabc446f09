"""Figures along pre-training: base scores, when it could have stopped, and each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from seaborn import light_palette

from ptft import language
from ptft.analysis.family import with_claims
from ptft.analysis.tables.learning import hidden_labels
from ptft.analysis.tables.stopping import CURVE
from ptft.figures.axis import CHECKPOINT, checkpoint_axis, checkpoint_labels, claimed, distances
from ptft.figures.marks import (
    Bars,
    Told,
    curve,
    flags,
    from_zero,
    guess_lines,
    heat_map,
    legend_below,
    method_suffix,
    panel_legend,
    point_text,
    score_bars,
)
from ptft.figures.style import (
    COLOURS,
    GREY,
    HIDDEN,
    PAGE,
    PALE,
    apply_style,
    headline,
    nothing_to_draw,
    panels,
)


def draw_base_scores(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One line per dataset with its interval; dashed: chance.

    Of a single checkpoint a bar per dataset.
    """
    table = tables["base_scores"]
    if table.is_empty():
        return nothing_to_draw(language.label("no base model was evaluated"))
    hidden = hidden_labels(tables["suspicious"])
    if table["index"].n_unique() == 1:
        return _single_checkpoint(tables, hidden)
    shown = table.select("kind", "family").unique().sort(pl.all())
    figure, axes = panels(len(shown), columns=3, height=2.5)
    for ax, (kind, family) in zip(axes, shown.iter_rows(), strict=True):
        rows = table.filter(pl.col("family") == family, pl.col("kind") == kind)
        _family_panel(ax, rows, hidden)
        ax.set_title(language.family(family))
        ax.set_ylabel(language.metric(rows["metric"][0]))
        from_zero(ax)
        checkpoint_axis(ax, table)
        panel_legend(ax)
    headline(figure, _taught(tables), _of_base_scores(table, hidden))
    return figure


def _family_panel(ax: Axes, rows: pl.DataFrame, hidden: Sequence[str]) -> None:
    """The datasets of one family."""
    for number, dataset in enumerate(rows["dataset"].unique().sort()):
        line = rows.filter(pl.col("dataset") == dataset)
        look = {"color": PALE} if dataset in hidden else {}
        label = language.dataset(dataset) + (
            language.label(" (no score)") if dataset in hidden else ""
        )
        curve(ax, line, "value", label, number, **look)
    guess_lines(ax, rows)


def _single_checkpoint(tables: Mapping[str, pl.DataFrame], hidden: Sequence[str]) -> Figure:
    """A bar per dataset, and what guessing earns."""
    table = tables["base_scores"].sort("kind", "family", "dataset")
    figure, [ax] = panels(1, 1, height=0.6 + 0.24 * len(table))
    names = [
        language.dataset(name) + (language.label(" (no score)") if name in hidden else "")
        for name in table["dataset"]
    ]
    scores = Bars(language.label("base"), COLOURS[0], table, "value")
    score_bars(ax, names, [scores], table)
    ax.set_xlabel(", ".join(dict.fromkeys(map(language.metric, table["metric"]))))
    legend_below(figure, [ax])
    known = claimed(tables, "rise above guessing")
    title = language.label("The base model is above guessing on {k} of {n} datasets").format(
        k=(known["verdict"] == "rises").sum(), n=len(known)
    )
    below = language.label("Scores of the base model, with their intervals.")
    headline(figure, title if len(known) else language.label("Base scores"), below)
    return figure


def _taught(tables: Mapping[str, pl.DataFrame]) -> str:
    """How many datasets pre-training alone teaches."""
    rises = claimed(tables, "rise")
    if rises.is_empty():
        return language.label("Base scores over pre-training")
    return language.label("Pre-training alone teaches {k} of {n} datasets").format(
        k=(rises["verdict"] == "rises").sum(), n=len(rises)
    )


def _of_base_scores(table: pl.DataFrame, hidden: Sequence[str]) -> str:
    said = language.label("Score of the base models over pre-training, a panel a family of tasks.")
    if set(hidden) & set(table["dataset"]):
        said += " " + language.label(HIDDEN)
    return said


# Share of the last score that is white; what is at it or above has the full colour.
WHITE = 40
SHADE = "#8DBBE0"


def draw_stopping(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One row per task, dataset and method; one cell per checkpoint; framed: possible stops."""
    stops = with_claims(tables)["stopping"]  # as the page tells them
    if stops.is_empty():
        return nothing_to_draw(language.label("no task has tuned models at two checkpoints"))
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
        [_told(stop, gains, checkpoints) for stop in stops.iter_rows(named=True)],
        vmin=WHITE,
        vmax=100,
        cmap=light_palette(SHADE, as_cmap=True),
        linewidths=1.5,
        xticklabels=False,
    )
    _label(ax, stops, checkpoints)
    for y, stop in enumerate(stops.iter_rows(named=True)):
        _mark(ax, y, stop, shares[y])
    headline(figure, _found_stops(stops), _of_stopping(stops))
    return figure


def _told(stop: Mapping, gains: pl.DataFrame, checkpoints: pl.DataFrame) -> list[Told]:
    """Texts of a curve's cells: the score at each checkpoint in words."""
    rows = {row["index"]: row for row in _curve(stop, gains).iter_rows(named=True)}
    name = language.dataset(stop["dataset"])
    return [
        (name, point_text(rows[at], "tuned", "tuned_"), bool(flags(rows[at], "tuned")))
        if at in rows
        else (name, "", False)
        for at in checkpoints["index"]
    ]


def _curve(stop: Mapping, gains: pl.DataFrame) -> pl.DataFrame:
    return gains.filter(pl.all_horizontal(pl.col(k).eq_missing(stop[k]) for k in CURVE))


def _shares(stop: Mapping, gains: pl.DataFrame, checkpoints: pl.DataFrame) -> list[float]:
    """Tuned scores of a curve in % of its last one; NaN where there is none."""
    scores = dict(_curve(stop, gains).select("index", "tuned").iter_rows())
    last = stop["last_score"]
    return [
        100 * scores[at] / last if at in scores and last else float("nan")
        for at in checkpoints["index"]
    ]


def _label(ax: Axes, stops: pl.DataFrame, checkpoints: pl.DataFrame) -> None:
    """Label rows and columns; two nearly equal columns share a line."""
    methods = stops["method"].unique().sort().to_list()
    names = [
        language.dataset(stop["dataset"]) + method_suffix(stop["method"], methods)
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
    ax.text(len(labels) + 0.15, -0.3, language.label("could be saved"), va="bottom", color=GREY)


def _mark(ax: Axes, y: int, stop: Mapping, shares: list[float]) -> None:
    """Draw the frames of a row, and what stopping there saves."""
    if stop["too_low"]:
        said, look = language.label("no verdict: too low for the margin"), {"color": PALE}
    else:
        frames = [(stop["stop_index"], ":"), (stop["safe_index"], "-")]
        for at, line in frames:
            if at is not None:
                frame = {"linewidth": 1.4, "linestyle": line, "edgecolor": COLOURS[1], "zorder": 3}
                ax.add_patch(Rectangle((at + 0.06, y + 0.08), 0.88, 0.84, fill=False, **frame))
        said, look = _saved(stop)
    ax.text(len(shares) + 0.15, y + 0.5, said, va="center", **look)


def _saved(stop: Mapping) -> tuple[str, dict]:
    """The share of tokens saved, or a note that it is unsettled."""
    bare, sure = stop["stop_share_saved"], stop["safe_share_saved"]
    if sure:
        return language.label("{share} % of the tokens").format(share=f"{100 * sure:.0f}"), {
            "fontweight": "bold"
        }
    if bare:
        text = language.label("not settled ({share} % by the scores)").format(
            share=f"{100 * bare:.0f}"
        )
        return text, {"color": GREY}
    return ("–" if bare is None else language.label("nothing")), {"color": GREY}


def _found_stops(stops: pl.DataFrame) -> str:
    """For how many test sets pre-training could have stopped earlier."""
    judged = stops.filter(~pl.col("too_low"), pl.col("safe_index").is_not_null())
    early = judged.filter(pl.col("safe_checkpoint") != pl.col("last_checkpoint"))
    if judged.is_empty():
        return language.label("When pre-training could have stopped")
    if early.is_empty():
        return language.label("No own test set shows that pre-training could have stopped earlier")
    return language.label(
        "For {k} of {n} own test sets pre-training could have stopped earlier"
    ).format(k=len(early), n=len(judged))


def _of_stopping(stops: pl.DataFrame) -> str:
    return language.label(
        "Score after fine-tuning, in % of the score at the end of pre-training (columns: tokens "
        "seen). Framed: from here on within {margin} of the last score, with confidence; dotted: "
        "by the scores alone. One pre-training run."
    ).format(margin=stops["margin"][0])


TASKS = 3


def draw_overtraining(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One panel per task, one line per method and setting; black: the chosen."""
    table = tables["along_pretraining"]
    if table.is_empty():
        return nothing_to_draw(language.label("no tuned model was evaluated"))
    tasks = table["train_task"].unique().sort().to_list()
    figure, axes = panels(len(tasks), TASKS, height=2.4)
    for ax, task in zip(axes, tasks, strict=True):
        _settings(ax, table.filter(pl.col("train_task") == task))
        ax.set_title(language.task(task))
        checkpoint_axis(ax, table)
        panel_legend(ax)
    axes[0].set_ylabel(language.label("score"))
    below = language.label(
        "Mean score on the task's own test sets after fine-tuning, by method and setting; in black "
        "the setting that validation chooses at each checkpoint."
    )
    headline(figure, _found_declines(tables), below)
    return figure


def _settings(ax: Axes, rows: pl.DataFrame) -> None:
    """The lines of one task: settings thin, the chosen one on top."""
    number = 0
    for one in rows.partition_by("method", "setting", maintain_order=True):
        method, setting, fixed = one.select("method", "setting", "fixed").row(0)
        if fixed:
            name = method if setting is None else f"{method}, {setting}"
            curve(ax, one, "value", name, number)
            number += 1
        else:
            label = f"{method}, {language.label('chosen')}"
            curve(ax, one, "value", label, color="black", linewidth=2, marker="", zorder=4)


def _found_declines(tables: Mapping[str, pl.DataFrame]) -> str:
    """For how many curves the last checkpoint is worse to fine-tune from than the best."""
    drops = claimed(tables, "drop")
    if drops.is_empty():
        return language.label("Each setting along pre-training")
    return language.label("Curves that end lower than at their best checkpoint: {k} of {n}").format(
        k=(drops["verdict"] == "rises").sum(), n=len(drops)
    )
