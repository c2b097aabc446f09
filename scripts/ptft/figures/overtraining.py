"""Tuned scores along pre-training at fixed and at chosen settings, and what noise costs."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.analysis.tables.along_pretraining import NOISED
from ptft.figures.axis import checkpoint_axis
from ptft.figures.marks import curve, panel_legend
from ptft.figures.style import headline, nothing_to_draw, panels
from ptft.language.words import Words

COLUMNS = 3
MEASURE = "tuned score"
TEST_LEVEL = 0.05


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One panel per task, one line per method and setting; black: the chosen; last panel: noise."""
    table = tables["along_pretraining"]
    if table.is_empty():
        return nothing_to_draw(words("no tuned model was evaluated"))
    tuned = table.filter(pl.col("measure") == MEASURE)
    noised = table.filter(pl.col("measure") == NOISED)
    tasks = tuned["train_task"].unique().sort().to_list()
    figure, axes = panels(len(tasks) + (len(noised) > 0), COLUMNS, height=2.4)
    for ax, task in zip(axes, tasks, strict=False):
        _settings(ax, tuned.filter(pl.col("train_task") == task), words)
        ax.set_title(words.task(task))
    if len(noised):
        _noise(axes[-1], noised, words)
        axes[-1].set_title(words("base models with noise on their weights"))
    for ax in axes:
        checkpoint_axis(ax, table, words)
        panel_legend(ax)
    axes[0].set_ylabel(words("score"))
    below = words(
        "Mean score on the task's own test sets after fine-tuning, by method and setting; in black "
        "the setting that validation chooses at each checkpoint."
    )
    headline(figure, _found(tables["overtraining"], words), below)
    return figure


def _settings(ax: Axes, rows: pl.DataFrame, words: Words) -> None:
    """The lines of one task: settings thin, the chosen one on top."""
    number = 0
    for one in rows.partition_by("method", "setting", maintain_order=True):
        method, setting, fixed = one.select("method", "setting", "fixed").row(0)
        if fixed:
            name = method if setting is None else f"{method}, {setting}"
            curve(ax, one, "value", name, number)
            number += 1
        else:
            label = f"{method}, {words('chosen')}"
            curve(ax, one, "value", label, color="black", linewidth=2, marker="", zorder=4)


def _noise(ax: Axes, rows: pl.DataFrame, words: Words) -> None:
    for number, one in enumerate(rows.sort("strength").partition_by("strength")):
        strength = one["strength"][0]
        label = words("noise {strength}").format(strength=f"{strength:g}")
        curve(ax, one, "value", label if strength else words("no noise"), number)


def _found(overtraining: pl.DataFrame, words: Words) -> str:
    """For how many curves the last checkpoint is surely worse to fine-tune from than the best."""
    known = overtraining.filter(pl.col("measure") == MEASURE, pl.col("p_adjusted").is_not_null())
    if known.is_empty():
        return words("Each setting, and noise, along pre-training")
    worse = known.filter(pl.col("p_adjusted") < TEST_LEVEL)
    return words(
        "Curves that end significantly lower than at their best checkpoint: {k} of {n}"
    ).format(k=len(worse), n=len(known))
