"""Figures along pre-training: base scores, and the tuned scores of each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft import language
from ptft.analysis.tables.learning import hidden_labels
from ptft.figures.axis import checkpoint_axis, claimed
from ptft.figures.marks import (
    Bars,
    curve,
    from_zero,
    guess_lines,
    legend_below,
    panel_legend,
    score_bars,
)
from ptft.figures.style import (
    COLOURS,
    HIDDEN,
    PALE,
    headline,
    panels,
)


def draw_base_scores(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One line per dataset with its interval; dashed: chance.

    Of a single checkpoint a bar per dataset.
    """
    table = tables["base_scores"]
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


TASKS = 3


def draw_overtraining(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One panel per task, one line per method and setting; black: the chosen."""
    table = tables["along_pretraining"]
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
