"""Figures of what fine-tuning adds: by dataset, group and domain; and the study in four panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft import language
from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.learning import hidden_labels
from ptft.figures.axis import at_last, checkpoint_axis, claimed
from ptft.figures.marks import (
    FAILED,
    METHOD_LINES,
    Bars,
    colour,
    curve,
    from_zero,
    guess_lines,
    legend_below,
    line_key,
    mark_failed,
    method_suffix,
    named,
    outer_labels,
    panel_legend,
    points,
    score_bars,
    thin_curve,
)
from ptft.figures.pretraining import draw_base_scores
from ptft.figures.style import GREY, PAGE, PALE, headline, nothing_to_draw, panel_grid, panels

COLUMNS = 5
ROWS = {"in": "own test sets", "out": "others of its family"}


def draw_base_vs_tuned(
    tables: Mapping[str, pl.DataFrame], overlay: pl.DataFrame | None = None
) -> Figure:
    """One column per task, on one scale: its own test sets above, others of its family below.

    Solid: tuned; dotted, in the same colour: base. Datasets whose labels seem to be hidden are
    pale. Thin: another study's models on the same task and dataset. Of a single checkpoint bars.
    """
    table = tables["gains"].filter(pl.col("domain").is_in(list(ROWS)))
    if table.is_empty():
        return nothing_to_draw(language.label("no tuned model was evaluated on its own family"))
    hidden = hidden_labels(tables["suspicious"])
    if table["index"].n_unique() == 1:
        return _single_checkpoint(tables, hidden)
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
            _tuned_panel(ax, rows, other, hidden)
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


def _tuned_panel(ax: Axes, rows: pl.DataFrame, other: pl.DataFrame, hidden: Sequence[str]) -> None:
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
            mark_failed(ax, tuned, "tuned", colour(number))
        _lay_over(ax, other, lines, number)
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
    kinds = [
        Bars(
            language.label("base"), GREY,
            *(sets[f"base{end}"].to_list() for end in ("", "_ci_low", "_ci_high")),
        )
    ]  # fmt: skip
    for number, method in enumerate(methods):
        own = sets.select(by).join(
            table.filter(method=method), on=by, how="left", maintain_order="left"
        )
        label = language.label("tuned") + method_suffix(method, methods)
        values = own["tuned"].fill_null(0.0)
        kinds.append(Bars(label, colour(number), values, own["tuned_ci_low"], own["tuned_ci_high"]))
    figure, [ax] = panels(1, 1, height=0.6 + 0.14 * len(names) * (len(kinds) + 0.6))
    score_bars(ax, names, kinds, sets)
    ax.set_xlabel(", ".join(dict.fromkeys(map(language.metric, table["metric"]))))
    legend_below(figure, [ax])
    below = language.label("Scores before and after fine-tuning, with their intervals.")
    headline(figure, _found_raised(tables), below)
    return figure


def _lay_over(ax: Axes, other: pl.DataFrame, rows: pl.DataFrame, number: int) -> None:
    """Another study's base and tuned scores of the panel's task, dataset and methods.

    Scores of another metric are left out: they are not comparable.
    """
    keys = ["train_task", "dataset", "metric"]
    same = other.join(rows.select([*keys, "method"]).unique(), on=[*keys, "method"], how="semi")
    thin_curve(ax, same.unique("index"), "base", "_" + language.label("base"), linestyle=":")
    for (_method,), line in same.group_by("method", maintain_order=True):
        thin_curve(ax, line, "tuned", "_" + language.label("tuned"), color=colour(number))


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
    crossed = {language.label("not every seed learned"): {"color": "black", **FAILED}}
    failed = len(table.filter(pl.col("n_learned") < pl.col("n_seeds")))
    line_key(
        figure,
        tuned | base | (chance if table["chance"].count() else {}) | (crossed if failed else {}),
    )


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
        said += " " + language.label(
            "Grey: untrained models are right already, as a constant answer is where labels are "
            "hidden; not a score."
        )
    return said


# Group -> number of its line, here and in the other figures that have both groups.
NUMBER = {"learned": 2, "not_learned": 1}


def draw_gain_by_group(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One panel per method, one line per group; a dataset counts with models tuned for it."""
    table = tables["group_gains"].filter(pl.col("tuned_for") == "own task")
    if table.is_empty():
        return nothing_to_draw(language.label("no gain to show"))
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
    """What the first method adds to both groups at the last checkpoint."""
    last = at_last(table).sort("method").unique("group", keep="first", maintain_order=True)
    gain = dict(last.select("group", "gain").iter_rows())
    if set(gain) != set(NUMBER):
        return language.label("Gain of learned and not learned datasets")
    return language.label(
        "Fine-tuning adds {not_learned} points to what pre-training did not teach, {learned} to "
        "what it did"
    ).format(**{key: points(gain[key]).lstrip("+") for key in NUMBER})


def draw_domains(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """One line per domain and method: mean change over the domain's datasets."""
    table = tables["domains"]
    if table.is_empty():
        return nothing_to_draw(language.label("no tuned model was evaluated"))
    hidden = hidden_labels(tables["suspicious"])
    names = {
        "in": language.label("own test sets"),
        "out": language.label("others of its family"),
        "cross": language.label("other families"),
    }
    tasks = table["train_task"].unique().sort().to_list()
    methods = table["method"].unique().sort().to_list()
    figure, axes = panels(len(tasks), COLUMNS, height=2.0)
    for ax, task in zip(axes, tasks, strict=True):
        for line, method in zip(METHOD_LINES, methods, strict=False):
            for number, (domain, name) in enumerate(names.items()):
                rows = table.filter(
                    pl.col("train_task") == task,
                    pl.col("domain") == domain,
                    pl.col("method") == method,
                )
                look = {"color": PALE} if _hides(rows, hidden) else {}
                label = name + method_suffix(method, methods)
                if look:
                    label += language.label(" (no score)")
                if len(rows):
                    curve(ax, rows, "gain", label, number, linestyle=line, **look)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_title(language.task(task))
        ax.set_ylabel(language.label("tuned minus base"))
        checkpoint_axis(ax, table)
    outer_labels(axes, COLUMNS)
    legend_below(figure, axes)
    below = language.label("Mean change of the score by fine-tuning on the task above each panel.")
    if _hides(table, hidden):
        below += " " + language.label("Grey: means over datasets whose labels seem to be hidden.")
    headline(figure, language.label("Change in and out of domain"), below)
    return figure


def _hides(rows: pl.DataFrame, hidden: Sequence[str]) -> bool:
    """Whether a mean includes a dataset whose labels seem to be hidden."""
    return any(set(names.split()) & set(hidden) for names in rows["datasets"])


# Curves of a panel: more can't be told apart at the size of a talk's slide.
MOST = 3


def draw_abstract(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """Four panels of the first method; learned and unlearned datasets keep their colours.

    Without tuned models, base scores; of a single checkpoint, base and tuned scores.
    """
    gains = tables["gains"]
    if gains.is_empty():
        return draw_base_scores(tables)
    if tables["groups"].is_empty():
        return draw_base_vs_tuned(tables)
    method = gains["method"].min()
    of_method = {
        name: tables[name].filter(pl.col("method") == method)
        for name in ("gains", "latent", "group_gains", "forgetting")
    }
    own = of_method["group_gains"].filter(pl.col("tuned_for") == "own task")
    figure, axes = panels(4, columns=2, height=2.5)
    groups = tables["groups"].filter(~pl.col("dataset").is_in(hidden_labels(tables["suspicious"])))
    _taught_panel(axes[0], tables["base_scores"], groups)
    _shown_panel(axes[1], of_method["gains"], of_method["latent"])
    draw_groups(axes[2], own)
    axes[2].set_title(language.label("C  What fine-tuning adds"))
    axes[2].set_ylabel(language.label("tuned minus base, points"))
    _forgotten_panel(axes[3], of_method["forgetting"])
    for ax in axes:
        checkpoint_axis(ax, tables["base_scores"])
        panel_legend(ax, columns=1)
    below = language.label("Over pre-training; fine-tuned from each checkpoint by method {method}.")
    headline(figure, found_gains(own), below.format(method=method))
    return figure


def _taught_panel(ax: Axes, base: pl.DataFrame, groups: pl.DataFrame) -> None:
    """Points that base models gain after the first checkpoint, per dataset and on average."""
    names = {"learned": language.label("learned"), "not_learned": language.label("not learned")}
    rises = (
        base.join(groups.select("dataset", "group"), on="dataset")
        .sort("index")
        .with_columns(
            rise=100 * (pl.col("value") - pl.col("value").first().over("dataset", order_by="index"))
        )
    )
    for group, number in NUMBER.items():
        rows = rises.filter(pl.col("group") == group)
        for _, line in rows.group_by("dataset", maintain_order=True):
            ax.plot(line["x"], line["rise"], color=colour(number), alpha=0.35, linewidth=0.7)
        mean = rows.group_by("x").agg(pl.col("rise").mean(), ci_low=None, ci_high=None)
        if len(mean):
            said = language.label("{group}, mean (datasets: {n})")
            label = said.format(n=rows["dataset"].n_unique(), group=names[group])
            curve(ax, mean, "rise", label, number, linewidth=2)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_title(language.label("A  What pre-training alone teaches"))
    ax.set_ylabel(language.label("base, points since the start"))


def _shown_panel(ax: Axes, gains: pl.DataFrame, latent: pl.DataFrame) -> None:
    """Scores before and after tuning, where the tuned score rises most above the base score."""
    own = latent.filter(pl.col("domain") == "in")
    beyond = pl.col("tuned_rise") - pl.col("base_rise")
    most = own.sort(beyond, descending=True).unique("train_task", keep="first", maintain_order=True)
    for number, (task, dataset) in enumerate(most.select("train_task", "dataset").rows()[:MOST]):
        rows = gains.filter(pl.col("train_task") == task, pl.col("dataset") == dataset)
        # Not in the colours of the groups.
        look = {"color": colour((0, 3, 5)[number])}
        bare = {"linestyle": ":", "marker": ""}
        curve(ax, rows, "base", "_base", number, "base_", **look, **bare)
        label = language.label("{dataset}, tuned").format(dataset=language.dataset(dataset))
        curve(ax, rows, "tuned", label, number, "tuned_", **look)
    ax.plot([], [], ":", color="black", label=language.label("base, before tuning"))
    ax.set_ylim(0)
    ax.set_title(language.label("B  What fine-tuning brings out"))
    ax.set_ylabel(language.label("score"))


def _forgotten_panel(ax: Axes, forgetting: pl.DataFrame) -> None:
    """Mean relative change on other families, by direction."""
    mean = forgetting.filter(pl.col("train_task") == ALL_TASKS).with_columns(
        pl.col("headroom", "headroom_ci_low", "headroom_ci_high") * 100
    )
    mean = mean.filter(pl.col("headroom").is_not_null())
    for number, direction in enumerate(mean["direction"].unique().sort()):
        start, end = direction.split(">")
        label = f"{language.label('tuned on ' + start)} → {language.label('tested on ' + end)}"
        line = mean.filter(pl.col("direction") == direction)
        look = {"color": colour((0, 6, 3, 5)[number])}
        curve(ax, line, "headroom", label, number, "headroom_", **look)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_title(language.label("D  What fine-tuning costs other families"))
    ax.set_ylabel(language.label("change, % above guessing"))
