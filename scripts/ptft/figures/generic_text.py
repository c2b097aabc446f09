"""Loss of base and tuned models on generic text along pre-training, one panel per dataset."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from ptft.figures.axis import at_last, checkpoint_axis
from ptft.figures.marks import curve, legend_below, method_suffix, outer_labels
from ptft.figures.style import GREY, headline, nothing_to_draw, panels
from ptft.language.words import Words

COLUMNS = 3


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """One line per task and method, with its interval; grey: base models.

    Swept settings and derived arms have rows in the table, but no line.
    """
    table = tables["generic_text"]
    if table.is_empty():
        return nothing_to_draw(words("no generic text was scored"))
    trained = pl.all_horizontal(pl.col("setting", "derived").is_null())
    tuned = table.filter(trained, pl.col("method").is_not_null())
    base = table.filter(trained, pl.col("method").is_null())
    arms = tuned.select("train_task", "method").unique().sort(pl.all())
    methods = arms["method"].unique().sort().to_list()
    datasets = table["dataset"].unique().sort().to_list()
    figure, axes = panels(len(datasets), COLUMNS, height=2.2)
    for ax, dataset in zip(axes, datasets, strict=True):
        here = pl.col("dataset") == dataset
        curve(
            ax, base.filter(here), "bits_per_byte", words("base"),
            color=GREY, linestyle="--", marker="s",
        )  # fmt: skip
        for number, (task, method) in enumerate(arms.iter_rows()):
            rows = tuned.filter(here, pl.col("train_task") == task, pl.col("method") == method)
            label = words("tuned on {task}").format(task=words.task(task))
            curve(ax, rows, "bits_per_byte", label + method_suffix(method, methods), number)
        ax.set_title(words.dataset(dataset))
        ax.set_ylabel(words("bits per byte (lower is better)"))
        # The first checkpoints would press all that comes after them flat.
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(MaxNLocator(7))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        checkpoint_axis(ax, table, words)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=3)
    below = words("Loss on generic text over pre-training, on a logarithmic axis: lower is better.")
    headline(figure, _found(tuned, words), below)
    return figure


def _found(tuned: pl.DataFrame, words: Words) -> str:
    """The largest rise by fine-tuning at the last checkpoint, if one is sure."""
    risen = at_last(tuned).filter(pl.col("change_ci_low") > 0)
    if risen.is_empty():
        return words("Loss on generic text")
    most = risen.sort("change", "dataset", descending=True).row(0, named=True)
    return words("Fine-tuning on {task} costs {bits} bits per byte of {dataset}").format(
        task=words.task(most["train_task"]),
        bits=f"{most['change']:.2f}",
        dataset=words.dataset(most["dataset"]),
    )
