"""Base and tuned scores of the datasets of a task's family (the paper's per-task curves)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.analysis.tables.suspicious import hidden_labels
from ptft.figures.axis import at_last, checkpoint_axis
from ptft.figures.marks import (
    METHOD_LINES,
    colour,
    curve,
    from_zero,
    line_key,
    method_suffix,
    panel_legend,
    thin_curve,
)
from ptft.figures.style import GREY, PALE, headline, nothing_to_draw, panel_grid
from ptft.language.words import Words

COLUMNS = 5
ROWS = {"in": "own test sets", "out": "others of its family"}


def draw(
    tables: Mapping[str, pl.DataFrame], words: Words, overlay: pl.DataFrame | None = None
) -> Figure:
    """One column per task, on one scale: its own test sets above, others of its family below.

    Solid: tuned; dotted, in the same colour: base. Datasets whose labels seem to be hidden are
    pale. Thin: another study's models on the same task and dataset.
    """
    table = tables["gains"].filter(pl.col("domain").is_in(list(ROWS)))
    if table.is_empty():
        return nothing_to_draw(words("no tuned model was evaluated on its own family"))
    hidden = hidden_labels(tables["suspicious"])
    other = table.clear() if overlay is None else overlay
    tasks = table["train_task"].unique().sort().to_list()
    domains = [domain for domain in ROWS if domain in table["domain"]]
    columns = min(COLUMNS, len(tasks))
    figure, grid = panel_grid(len(domains) * -(-len(tasks) // columns), columns, height=2.2)
    for number in range(len(tasks), columns * -(-len(tasks) // columns)):
        for row in range(len(domains)):
            grid[number // columns * len(domains) + row][number % columns].remove()
    for number, task in enumerate(tasks):
        first_row = number // columns * len(domains)
        drawn = []
        for row, domain in enumerate(domains):
            ax = grid[first_row + row][number % columns]
            rows = table.filter(pl.col("train_task") == task, pl.col("domain") == domain)
            if rows.is_empty():
                ax.remove()
                continue
            _panel(ax, rows, other, hidden, words)
            checkpoint_axis(ax, table, words)
            if not drawn:
                ax.set_title(words.task(task))
            metric = ", ".join(dict.fromkeys(map(words.metric, rows["metric"])))
            ax.set_ylabel(f"{words(ROWS[domain])}\n{metric}" if number % columns == 0 else metric)
            drawn.append(ax)
        top = max(ax.get_ylim()[1] for ax in drawn)
        for ax in drawn:
            ax.set_ylim(0, top)
            panel_legend(ax, columns=1)
    _key(figure, table, words)
    headline(figure, _found(table, hidden, words), _measured(table, hidden, words))
    return figure


def _panel(
    ax: Axes, rows: pl.DataFrame, other: pl.DataFrame, hidden: Sequence[str], words: Words
) -> None:
    """The curves of one task and domain, each with its own interval."""
    methods = rows["method"].unique().sort().to_list()
    for number, dataset in enumerate(rows["dataset"].unique().sort()):
        lines = rows.filter(pl.col("dataset") == dataset)
        look = {"color": PALE} if dataset in hidden else {}
        base = lines.unique("index")
        curve(ax, base, "base", "_base", number, "base_", **{"linestyle": ":", "marker": ""} | look)
        for line, method in zip(METHOD_LINES, methods, strict=False):
            tuned = lines.filter(pl.col("method") == method)
            label = words.dataset(dataset) if method == methods[0] else "_tuned"
            if dataset in hidden:
                label += words(" (no score)")
            curve(ax, tuned, "tuned", label, number, "tuned_", **{"linestyle": line} | look)
        _lay_over(ax, other, lines, number, words)
    for chance in rows["chance"].drop_nulls().unique().sort():
        ax.axhline(chance, color=GREY, linestyle="--", linewidth=0.6)
    from_zero(ax)


def _lay_over(ax: Axes, other: pl.DataFrame, rows: pl.DataFrame, number: int, words: Words) -> None:
    """Another study's base and tuned scores of the panel's task, dataset and methods.

    Scores of another metric are left out: they are not comparable.
    """
    keys = ["train_task", "dataset", "metric"]
    same = other.join(rows.select([*keys, "method"]).unique(), on=[*keys, "method"], how="semi")
    thin_curve(ax, same.unique("index"), "base", "_" + words("base"), linestyle=":")
    for (_method,), line in same.group_by("method", maintain_order=True):
        thin_curve(ax, line, "tuned", "_" + words("tuned"), color=colour(number))


def _key(figure: Figure, table: pl.DataFrame, words: Words) -> None:
    """Legend of the kinds of lines."""
    methods = table["method"].unique().sort().to_list()
    tuned = {
        words("tuned") + method_suffix(method, methods): {"color": "black", "linestyle": line}
        for line, method in zip(METHOD_LINES, methods, strict=False)
    }
    base = {words("base"): {"color": "black", "linestyle": ":"}}
    chance = {words("chance"): {"color": GREY, "linestyle": "--", "linewidth": 0.6}}
    line_key(figure, tuned | base | (chance if table["chance"].count() else {}))


def _found(table: pl.DataFrame, hidden: Sequence[str], words: Words) -> str:
    """How many own test sets surely gain at the last checkpoint, by the first method."""
    own = at_last(table).filter(pl.col("domain") == "in", ~pl.col("dataset").is_in(list(hidden)))
    own = own.filter(pl.col("ci_low").is_not_null(), pl.col("method") == pl.col("method").min())
    if own.is_empty():
        return words("Base and tuned scores")
    return words(
        "At the last checkpoint fine-tuning raises the score on {k} of its {n} own test sets"
    ).format(k=(own["ci_low"] > 0).sum(), n=len(own))


def _measured(table: pl.DataFrame, hidden: Sequence[str], words: Words) -> str:
    said = words(
        "Scores before (dotted) and after (solid) fine-tuning on the task above each column, over "
        "pre-training. Bands: the interval of each score. One scale per column."
    )
    if set(hidden) & set(table["dataset"]):
        said += " " + words(
            "Grey: untrained models are right already, as a constant answer is where labels are "
            "hidden; not a score."
        )
    return said
