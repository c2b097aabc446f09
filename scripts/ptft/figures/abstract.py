"""The study in four panels: what pre-training teaches, what tuning shows, adds and costs."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.suspicious import hidden_labels
from ptft.figures.axis import checkpoint_axis
from ptft.figures.gain_by_group import NUMBER, draw_groups, found
from ptft.figures.marks import colour, curve, panel_legend
from ptft.figures.style import GREY, headline, nothing_to_draw, panels
from ptft.language.words import Words

# Curves of a panel: more can't be told apart at the size of a talk's slide.
MOST = 3


def draw(tables: Mapping[str, pl.DataFrame], words: Words) -> Figure:
    """Four panels of the first method; learned and unlearned datasets keep their colours."""
    gains = tables["gains"]
    if gains.is_empty() or tables["groups"].is_empty():
        return nothing_to_draw(words("no tuned model was evaluated"))
    method = gains["method"].min()
    of_method = {
        name: tables[name].filter(pl.col("method") == method)
        for name in ("gains", "latent", "group_gains", "forgetting")
    }
    own = of_method["group_gains"].filter(pl.col("tuned_for") == "own task")
    figure, axes = panels(4, columns=2, height=2.5)
    groups = tables["groups"].filter(~pl.col("dataset").is_in(hidden_labels(tables["suspicious"])))
    _taught(axes[0], tables["base_scores"], groups, words)
    _shown(axes[1], of_method["gains"], of_method["latent"], words)
    draw_groups(axes[2], own, words)
    axes[2].set_title(words("C  What fine-tuning adds"))
    axes[2].set_ylabel(words("tuned minus base, points"))
    _forgotten(axes[3], of_method["forgetting"], words)
    for ax in axes:
        checkpoint_axis(ax, tables["base_scores"], words)
        panel_legend(ax, columns=1)
    below = words("Over pre-training; fine-tuned from each checkpoint by method {method}.")
    headline(figure, found(own, words), below.format(method=method))
    return figure


def _taught(ax: Axes, base: pl.DataFrame, groups: pl.DataFrame, words: Words) -> None:
    """Points that base models gain after the first checkpoint, per dataset and on average."""
    names = {"learned": words("learned"), "not_learned": words("not learned")}
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
            said = words("{group}, mean (datasets: {n})")
            label = said.format(n=rows["dataset"].n_unique(), group=names[group])
            curve(ax, mean, "rise", label, number, linewidth=2)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_title(words("A  What pre-training alone teaches"))
    ax.set_ylabel(words("base, points since the start"))


def _shown(ax: Axes, gains: pl.DataFrame, latent: pl.DataFrame, words: Words) -> None:
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
        label = words("{dataset}, tuned").format(dataset=words.dataset(dataset))
        curve(ax, rows, "tuned", label, number, "tuned_", **look)
    ax.plot([], [], ":", color="black", label=words("base, before tuning"))
    ax.set_ylim(0)
    ax.set_title(words("B  What fine-tuning brings out"))
    ax.set_ylabel(words("score"))


def _forgotten(ax: Axes, forgetting: pl.DataFrame, words: Words) -> None:
    """Mean relative change on other families, by direction."""
    mean = forgetting.filter(pl.col("train_task") == ALL_TASKS).with_columns(
        pl.col("bounded", "bounded_ci_low", "bounded_ci_high") * 100
    )
    for number, direction in enumerate(mean["direction"].unique().sort()):
        start, end = direction.split(">")
        label = f"{words('tuned on ' + start)} → {words('tested on ' + end)}"
        line = mean.filter(pl.col("direction") == direction)
        look = {"color": colour((0, 6, 3, 5)[number])}
        curve(ax, line, "bounded", label, number, "bounded_", **look)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_title(words("D  What fine-tuning costs other families"))
    ax.set_ylabel(words("relative change, %"))
