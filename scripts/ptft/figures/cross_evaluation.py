"""Every tuned model on every dataset: a heat map at the first and the last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.analysis.tables.suspicious import hidden_labels
from ptft.figures.axis import at_last, checkpoint_labels
from ptft.figures.heat_map import heat_map
from ptft.figures.marks import method_suffix, points
from ptft.figures.style import GREY, PAGE, PALE, apply_style, headline, nothing_to_draw
from ptft.language.words import Words


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """Colour and number: change in points (1 = 0.01); datasets by family, without empty ones."""
    table = tables["cross_evaluation"].filter(pl.col("difference").is_not_null())
    if table.is_empty():
        return nothing_to_draw(words("no tuned model was evaluated"))
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
    largest = 100 * ends.filter(~pl.col("dataset").is_in(hidden))["difference"].abs().max()
    labels = checkpoint_labels(checkpoints)
    for ax, index, label in zip(axes, checkpoints["index"], labels, strict=True):
        _heat_map(ax, ends.filter(pl.col("index") == index), rows, columns, hidden, largest, words)
        ax.set_title(words("tuned at {checkpoint}").format(checkpoint=label))
    names = [words.dataset(dataset) for _, dataset in columns]
    axes[-1].set_xticks(axes[-1].get_xticks(), names, rotation=40, ha="right")
    for text, (_, dataset) in zip(axes[-1].get_xticklabels(), columns, strict=True):
        text.set_color(PALE if dataset in hidden else "black")
    figure.colorbar(axes[0].collections[0], ax=axes, label=words("points"), shrink=0.8, pad=0.01)
    headline(figure, _found(table, hidden, words), _measured(columns, hidden, words))
    return figure


def _by_family(rows: pl.DataFrame, tuned: Sequence[str]) -> list[tuple[str, str]]:
    """(family, dataset) of the columns: first the tasks' own families, in the order of rows."""
    order = {family: at for at, family in enumerate(dict.fromkeys(tuned))}
    known = rows.select("family", "dataset").unique().rows()
    return sorted(known, key=lambda pair: (order.get(pair[0], len(order)), *pair))


def _heat_map(
    ax: Axes,
    table: pl.DataFrame,
    rows: Sequence[tuple[str, str]],
    columns: Sequence[tuple[str, str]],
    hidden: Sequence[str],
    largest: float,
    words: Words,
) -> None:
    """One checkpoint's matrix (models, datasets), with a line between families."""
    found = {
        (task, method, dataset): value
        for task, method, dataset, value in table.select(
            "train_task", "method", "dataset", "difference"
        ).iter_rows()
    }
    known = [[found.get((*row, dataset)) for _, dataset in columns] for row in rows]
    colours = [
        [
            float("nan") if value is None or dataset in hidden else 100 * value
            for value, (_, dataset) in zip(line, columns, strict=True)
        ]
        for line in known
    ]
    methods = sorted({method for _, method in rows})
    heat_map(
        ax,
        colours,
        [["" if value is None else points(value) for value in line] for line in known],
        vmin=-largest,
        vmax=largest,
        cmap="PuOr",
        linewidths=0.4,
        yticklabels=[words.task(task) + method_suffix(method, methods) for task, method in rows],
        xticklabels=False,
    )
    families = [family for family, _ in columns]
    for x in range(1, len(families)):
        if families[x] != families[x - 1]:
            ax.axvline(x, color=GREY, linewidth=0.8)
    ax.set_ylabel(words("tuned on"))


def _found(table: pl.DataFrame, hidden: Sequence[str], words: Words) -> str:
    """The largest loss on another family at the last checkpoint, if one is sure."""
    lost = at_last(table).filter(
        pl.col("domain") == "cross", pl.col("ci_high") < 0, ~pl.col("dataset").is_in(list(hidden))
    )
    if lost.is_empty():
        return words("Every tuned model on every dataset")
    most = lost.sort("difference", "train_task", "dataset").row(0, named=True)
    return words("Tuned on {task}, the last model loses {points} points on {dataset}").format(
        task=words.task(most["train_task"]),
        dataset=words.dataset(most["dataset"]),
        points=points(most["difference"]).lstrip("−"),
    )


def _measured(columns: Sequence[tuple[str, str]], hidden: Sequence[str], words: Words) -> str:
    families = dict.fromkeys(family for family, _ in columns)
    said = words(
        "Change of the score by fine-tuning, in points (1 = 0.01): colour and number. Datasets by "
        "family: {families}. Empty: not evaluated."
    ).format(families=words(", ").join(map(words.family, families)))
    if set(hidden) & {dataset for _, dataset in columns}:
        said += " " + words("Grey: labels seem to be hidden; not a score.")
    return said
