"""Figures of what fine-tuning on one task does to the others, and to generic text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from ptft import language
from ptft.analysis.scores import at_last
from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.learning import hidden_labels
from ptft.figures.axis import (
    checkpoint_axis,
    checkpoint_labels,
    claimed,
)
from ptft.figures.marks import (
    METHOD_LINES,
    curve,
    flags,
    heat_map,
    legend_below,
    method_suffix,
    outer_labels,
    point_text,
    points,
)
from ptft.figures.style import (
    GREY,
    PAGE,
    PALE,
    apply_style,
    headline,
    nothing_to_draw,
    panels,
)

COLUMNS = 2


def draw_forgetting(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One panel per direction: change of each task's models; black: their mean."""
    table = tables["forgetting"].filter(pl.col("headroom").is_not_null())
    if table.is_empty():
        return nothing_to_draw("no base model knows what could be forgotten")
    directions = table["direction"].unique().sort().to_list()
    drawn = table.select("headroom", "headroom_ci_low", "headroom_ci_high")
    limits = (
        min(-0.5, drawn.min_horizontal().min() - 0.03),
        max(0.25, drawn.max_horizontal().max() + 0.03),
    )
    figure, axes = panels(len(directions), COLUMNS, height=2.1)
    for ax, direction in zip(axes, directions, strict=True):
        rows = table.filter(pl.col("direction") == direction)
        _panel(ax, rows, table)
        # One scale for all panels: a loss of 3 % must not look like one of 80 %.
        ax.set_ylim(*limits)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}".replace("-", "−"))
        start, end = direction.split(">")
        about = worth(rows, tables["base_scores"])
        title = f"{language.label('tuned on ' + start)} → {language.label('tested on ' + end)}"
        ax.set_title("\n".join([title, *([about] if about else [])]))
        ax.set_ylabel(language.label("change, % above guessing"))
        checkpoint_axis(ax, table)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes, columns=5)
    below = language.label(
        "Change on families that a model was not tuned for, in % of what the base score is above "
        "guessing, over the pairs of task and dataset where it is."
    )
    headline(figure, _found_lost(tables), below)
    return figure


def _panel(ax: Axes, rows: pl.DataFrame, table: pl.DataFrame) -> None:
    """The curves of one direction; a task keeps its colour in every panel."""
    tasks = table.filter(pl.col("train_task") != ALL_TASKS)["train_task"].unique().sort().to_list()
    methods = table["method"].unique().sort().to_list()
    for line, method in zip(METHOD_LINES, methods, strict=False):
        suffix = method_suffix(method, methods)
        of_method = rows.filter(pl.col("method") == method)
        for number, task in enumerate(tasks):
            one = of_method.filter(pl.col("train_task") == task)
            if len(one):
                label = language.task(task) + suffix
                curve(ax, one, "headroom", label, number, "headroom_", linestyle=line)
        mean = of_method.filter(pl.col("train_task") == ALL_TASKS)
        if of_method["train_task"].n_unique() < 3:  # the mean of one task is its own line
            continue
        look = {"color": "black", "marker": "", "linewidth": 1.8, "linestyle": line}
        bare = mean.with_columns(ci_low=None, ci_high=None)
        curve(ax, bare, "headroom", language.label("mean") + suffix, **look)


def worth(rows: pl.DataFrame, base_scores: pl.DataFrame) -> str:
    """On how many of a direction's datasets the last base model is above chance; empty if no
    chance level is known."""
    names = {name for datasets in rows["datasets"] for name in datasets.split()}
    base = at_last(base_scores).filter(
        pl.col("dataset").is_in(sorted(names)), pl.col("chance").is_not_null()
    )
    if base.is_empty():
        return ""
    above = (base["ci_low"].fill_null(0) > base["chance"]).sum()
    return language.label("last base model above chance on {k} of {n}").format(k=above, n=len(base))


def _found_lost(tables: Mapping[str, pl.DataFrame]) -> str:
    """The direction with the largest mean loss at the last checkpoint, if it is shown."""
    lost = claimed(tables, "headroom").filter(pl.col("verdict") == "falls")
    if lost.is_empty():
        return language.label("Change on other families")
    most = lost.sort("value", "direction").row(0, named=True)
    start, end = most["direction"].split(">")
    return language.label(
        "{start}, the last models lose {share} % of what is above guessing {end}"
    ).format(
        start=language.label("tuned on " + start).capitalize(),
        end=language.label("on " + end),
        share=f"{-100 * most['value']:.0f}",
    )


def draw_cross_evaluation(tables: Mapping[str, pl.DataFrame]) -> Figure | None:
    """Colour and number: change in points (1 = 0.01); datasets by family, without empty ones."""
    table = tables["gains"].filter(pl.col("gain").is_not_null())
    if table.is_empty():
        return None
    apply_style()
    hidden = hidden_labels(tables["suspicious"])
    ends = table.filter(pl.col("index").is_in([table["index"].min(), table["index"].max()]))
    checkpoints = ends.select("index", "checkpoint", "step", "tokens").unique().sort("index")
    models = ends.select("family", "method", "train_task", "domain").filter(domain="in")
    models = models.select("family", "train_task", "method").unique().sort(pl.all())
    others = ends.select("train_task", "method").unique().join(models, on="train_task", how="anti")
    rows = [*models.select("train_task", "method").rows(), *others.sort(pl.all()).rows()]
    columns = _by_family(ends, models["family"].to_list())
    height = len(checkpoints) * (0.24 * len(rows) + 0.35) + 1.5
    figure = Figure(figsize=(PAGE, height), layout="constrained")
    axes = figure.subplots(len(checkpoints), 1, squeeze=False, sharex=True)[:, 0]
    largest = 100 * ends.filter(~pl.col("dataset").is_in(hidden))["gain"].abs().max()
    labels = checkpoint_labels(checkpoints)
    for ax, index, label in zip(axes, checkpoints["index"], labels, strict=True):
        _matrix(ax, ends.filter(pl.col("index") == index), rows, columns, hidden, largest)
        ax.set_title(language.label("tuned at {checkpoint}").format(checkpoint=label))
    names = [language.dataset(dataset) for _, dataset in columns]
    axes[-1].set_xticks(axes[-1].get_xticks(), names, rotation=40, ha="right")
    for text, (_, dataset) in zip(axes[-1].get_xticklabels(), columns, strict=True):
        text.set_color(PALE if dataset in hidden else "black")
    figure.colorbar(
        axes[0].collections[0], ax=axes, label=language.label("points"), shrink=0.8, pad=0.01
    )
    headline(
        figure,
        language.label("Every tuned model on every dataset"),
        _of_cross_evaluation(columns, hidden),
    )
    return figure


def _by_family(rows: pl.DataFrame, tuned: Sequence[str]) -> list[tuple[str, str]]:
    """(family, dataset) of the columns: first the tasks' own families, in the order of rows."""
    order = {family: at for at, family in enumerate(dict.fromkeys(tuned))}
    known = rows.select("family", "dataset").unique().rows()
    return sorted(known, key=lambda pair: (order.get(pair[0], len(order)), *pair))


def _matrix(
    ax: Axes,
    table: pl.DataFrame,
    rows: Sequence[tuple[str, str]],
    columns: Sequence[tuple[str, str]],
    hidden: Sequence[str],
    largest: float,
) -> None:
    """One checkpoint's matrix (models, datasets), with a line between families."""
    found = {(row["train_task"], row["method"], row["dataset"]): row for row in table.to_dicts()}
    known = [[found.get((*row, dataset)) for _, dataset in columns] for row in rows]
    colours = [
        [
            float("nan") if cell is None or dataset in hidden else 100 * cell["gain"]
            for cell, (_, dataset) in zip(line, columns, strict=True)
        ]
        for line in known
    ]
    methods = sorted({method for _, method in rows})
    names = [language.task(task) + method_suffix(method, methods) for task, method in rows]
    heat_map(
        ax,
        colours,
        [["" if cell is None else points(cell["gain"]) for cell in line] for line in known],
        [
            [(name, _told(cell), bool(cell and flags(cell, "gain"))) for cell in line]
            for name, line in zip(names, known, strict=True)
        ],
        vmin=-largest,
        vmax=largest,
        cmap="PuOr",
        linewidths=0.4,
        yticklabels=names,
        xticklabels=False,
    )
    families = [family for family, _ in columns]
    for x in range(1, len(families)):
        if families[x] != families[x - 1]:
            ax.axvline(x, color=GREY, linewidth=0.8)
    ax.set_ylabel(language.label("tuned on"))


def _told(cell: Mapping | None) -> str:
    return point_text(cell, "gain", where=language.dataset(cell["dataset"])) if cell else ""


def _of_cross_evaluation(columns: Sequence[tuple[str, str]], hidden: Sequence[str]) -> str:
    families = dict.fromkeys(family for family, _ in columns)
    said = language.label(
        "Change of the score by fine-tuning, in points (1 = 0.01): colour and number. Datasets by "
        "family: {families}. Empty: not evaluated."
    ).format(families=language.label(", ").join(map(language.family, families)))
    if set(hidden) & {dataset for _, dataset in columns}:
        said += " " + language.label("Grey: labels seem to be hidden; not a score.")
    return said


TEXTS = 3


def draw_generic_text(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One line per task and method, with its interval; grey: base models.

    Of a swept method the setting that validation chooses; derived arms have rows in the table, but
    no line.
    """
    table = tables["generic_text"]
    trained = table.filter(pl.col("derived").is_null())
    tuned = trained.filter(pl.col("method").is_not_null())
    base = trained.filter(pl.col("method").is_null())
    arms = tuned.select("train_task", "method").unique().sort(pl.all())
    methods = arms["method"].unique().sort().to_list()
    datasets = table["dataset"].unique().sort().to_list()
    figure, axes = panels(len(datasets), TEXTS, height=2.2)
    for ax, dataset in zip(axes, datasets, strict=True):
        here = pl.col("dataset") == dataset
        curve(
            ax, base.filter(here), "bits_per_byte", language.label("base"),
            color=GREY, linestyle="--", marker="s",
        )  # fmt: skip
        for number, (task, method) in enumerate(arms.iter_rows()):
            rows = tuned.filter(here, pl.col("train_task") == task, pl.col("method") == method)
            label = language.label("tuned on {task}").format(task=language.task(task))
            curve(ax, rows, "bits_per_byte", label + method_suffix(method, methods), number)
        ax.set_title(language.dataset(dataset))
        ax.set_ylabel(language.label("bits per byte (lower is better)"))
        # The first checkpoints would press all that comes after them flat.
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(MaxNLocator(7))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        checkpoint_axis(ax, table)
    outer_labels(axes, TEXTS)
    legend_below(figure, axes, columns=3)
    below = language.label(
        "Loss on generic text over pre-training, on a logarithmic axis: lower is better."
    )
    headline(figure, _found_dearer(tables), below)
    return figure


def _found_dearer(tables: Mapping[str, pl.DataFrame]) -> str:
    """The largest rise by fine-tuning at the last checkpoint, if one is shown."""
    risen = claimed(tables, "text").filter(pl.col("verdict") == "rises")
    if risen.is_empty():
        return language.label("Loss on generic text")
    most = risen.sort("value", "dataset", descending=True).row(0, named=True)
    return language.label("Fine-tuning on {task} costs {bits} bits per byte of {dataset}").format(
        task=language.task(most["train_task"]),
        bits=f"{most['value']:.2f}",
        dataset=language.dataset(most["dataset"]),
    )
