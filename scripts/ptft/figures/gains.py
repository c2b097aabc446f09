"""Figures of what fine-tuning adds: by dataset, and by group of datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft import language
from ptft.analysis.scores import at_last
from ptft.analysis.tables.learning import hidden_labels
from ptft.figures.axis import checkpoint_axis, claimed
from ptft.figures.marks import (
    METHOD_LINES,
    Bars,
    colour,
    curve,
    from_zero,
    guess_lines,
    legend_below,
    line_key,
    method_suffix,
    named,
    panel_legend,
    points,
    score_bars,
)
from ptft.figures.style import (
    GREY,
    HIDDEN,
    PAGE,
    PALE,
    headline,
    panel_grid,
    panels,
)

COLUMNS = 5
ROWS = {"in": "own test sets", "out": "others of its family"}


def draw_base_vs_tuned(tables: Mapping[str, pl.DataFrame]) -> Figure | None:
    """One column per task, on one scale: its own test sets above, others of its family below.

    Solid: tuned; dotted, in the same colour: base. Datasets whose labels seem to be hidden are
    pale. Of a single checkpoint bars.
    """
    table = tables["gains"].filter(pl.col("domain").is_in(list(ROWS)))
    if table.is_empty():
        return None
    hidden = hidden_labels(tables["suspicious"])
    if table["index"].n_unique() == 1:
        return _single_checkpoint(tables, hidden)
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
            _tuned_panel(ax, rows, hidden)
            checkpoint_axis(ax, table)
            if not drawn:
                ax.set_title(language.task(task))
            metric = ", ".join(dict.fromkeys(map(language.metric, rows["metric"])))
            ax.set_ylabel(
                f"{language.label(ROWS[domain])}\n{metric}" if number % columns == 0 else metric
            )
            drawn.append(ax)
        top = max(ax.get_ylim()[1] for ax in drawn)
        for ax in drawn:
            ax.set_ylim(0, top)
            panel_legend(ax, columns=1)
    _key(figure, table)
    headline(figure, _found_raised(tables), _of_base_vs_tuned(table, hidden))
    return figure


def _tuned_panel(ax: Axes, rows: pl.DataFrame, hidden: Sequence[str]) -> None:
    """The curves of one task and domain, each with its own interval."""
    methods = rows["method"].unique().sort().to_list()
    for number, dataset in enumerate(rows["dataset"].unique().sort()):
        lines = rows.filter(pl.col("dataset") == dataset)
        look = {"color": PALE} if dataset in hidden else {}
        base = lines.unique("index")
        curve(ax, base, "base", "_base", number, "base_", **{"linestyle": ":", "marker": ""} | look)
        for line, method in zip(METHOD_LINES, methods, strict=False):
            tuned = lines.filter(pl.col("method") == method)
            label = language.dataset(dataset) if method == methods[0] else "_tuned"
            if dataset in hidden:
                label += language.label(" (no score)")
            curve(ax, tuned, "tuned", label, number, "tuned_", **{"linestyle": line} | look)
    guess_lines(ax, rows, hidden="_")
    from_zero(ax)


def _single_checkpoint(tables: Mapping[str, pl.DataFrame], hidden: Sequence[str]) -> Figure:
    """Bars of base and tuned scores on each dataset of a task's family."""
    table = tables["gains"].filter(pl.col("domain").is_in(list(ROWS)))
    methods = table["method"].unique().sort().to_list()
    by = ["train_task", "domain", "dataset"]
    sets = table.sort(*by).unique(by, keep="first", maintain_order=True)
    names = [
        f"{language.task(task)} → {language.dataset(name)}"
        + (language.label(" (no score)") if name in hidden else "")
        for task, name in sets.select("train_task", "dataset").iter_rows()
    ]
    kinds = [Bars(language.label("base"), GREY, sets, "base", "base_")]
    for number, method in enumerate(methods):
        own = sets.select(by).join(
            table.filter(method=method), on=by, how="left", maintain_order="left"
        )
        label = language.label("tuned") + method_suffix(method, methods)
        kinds.append(Bars(label, colour(number), own, "tuned", "tuned_"))
    figure, [ax] = panels(1, 1, height=0.6 + 0.14 * len(names) * (len(kinds) + 0.6))
    score_bars(ax, names, kinds, sets)
    ax.set_xlabel(", ".join(dict.fromkeys(map(language.metric, table["metric"]))))
    legend_below(figure, [ax])
    below = language.label("Scores before and after fine-tuning, with their intervals.")
    headline(figure, _found_raised(tables), below)
    return figure


def _key(figure: Figure, table: pl.DataFrame) -> None:
    """Legend of the kinds of lines."""
    methods = table["method"].unique().sort().to_list()
    tuned = {
        language.label("tuned") + method_suffix(method, methods): {
            "color": "black",
            "linestyle": line,
        }
        for line, method in zip(METHOD_LINES, methods, strict=False)
    }
    base = {language.label("base"): {"color": "black", "linestyle": ":"}}
    chance = {language.label("chance"): {"color": GREY, "linestyle": "--", "linewidth": 0.6}}
    line_key(figure, tuned | base | (chance if table["chance"].count() else {}))


def _found_raised(tables: Mapping[str, pl.DataFrame]) -> str:
    """How many own test sets gain at the last checkpoint."""
    own = claimed(tables, "gain")
    if own.is_empty():
        return language.label("Base and tuned scores")
    return language.label(
        "At the last checkpoint fine-tuning raises the score on {k} of its {n} own test sets"
    ).format(k=(own["verdict"] == "rises").sum(), n=len(own))


def _of_base_vs_tuned(table: pl.DataFrame, hidden: Sequence[str]) -> str:
    said = language.label(
        "Scores before (dotted) and after (solid) fine-tuning on the task above each column, over "
        "pre-training. Bands: the interval of each score. One scale per column."
    )
    if set(hidden) & set(table["dataset"]):
        said += " " + language.label(HIDDEN)
    return said


# Group -> number of its line, here and in the other figures that have both groups.
NUMBER = {"learned": 2, "not_learned": 1}


def draw_gain_by_group(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One panel per method, one line per group; a dataset counts with models tuned for it."""
    table = tables["group_gains"]
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(methods), columns=2, height=2.5, width=PAGE * 0.6)
    for ax, method in zip(axes, methods, strict=True):
        draw_groups(ax, table.filter(pl.col("method") == method))
        if named(methods):
            ax.set_title(method)
        ax.set_ylabel(language.label("points"))
        checkpoint_axis(ax, table)
        panel_legend(ax, columns=1)
    below = language.label(
        "Mean gain by fine-tuning (tuned minus base) on the tasks' own test sets, by whether base "
        "models learn them in pre-training."
    )
    headline(figure, found_gains(table), below)
    return figure


def draw_groups(ax: Axes, rows: pl.DataFrame) -> None:
    """The lines of one method, in points."""
    names = {"learned": language.label("learned"), "not_learned": language.label("not learned")}
    in_points = rows.with_columns(pl.col("gain", "ci_low", "ci_high") * 100)
    for group, number in NUMBER.items():
        line = in_points.filter(pl.col("group") == group)
        if len(line):
            n = line["n_cells"].max()
            said = language.label("{group} (test sets: {n})")
            curve(ax, line, "gain", said.format(group=names[group], n=n), number)
    ax.axhline(0, color=GREY, linewidth=0.8)


def found_gains(table: pl.DataFrame) -> str:
    """Gain by the first method of both groups at the last checkpoint."""
    last = at_last(table).sort("method").unique("group", keep="first", maintain_order=True)
    gain = dict(last.select("group", "gain").iter_rows())
    if set(gain) != set(NUMBER):
        return language.label("Gain of learned and not learned datasets")
    return language.label(
        "Fine-tuning adds {not_learned} points to what pre-training did not teach, {learned} to "
        "what it did"
    ).format(**{key: points(gain[key]).lstrip("+") for key in NUMBER})
