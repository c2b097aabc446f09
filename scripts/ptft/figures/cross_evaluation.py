"""Every tuned model on every dataset: a heat map at the first and the last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import seaborn
from matplotlib.figure import Figure

from ptft.figures.style import PAGE, apply_style, named, nothing_to_draw
from ptft.language.translation import Translate


def draw(tables: Mapping[str, pl.DataFrame], translate: Translate) -> Figure:
    """Colour: relative change against the base model; number: change in points (1 = 0.01)."""
    table = tables["cross_evaluation"]
    if table.is_empty():
        return nothing_to_draw(translate("no tuned model was evaluated"))
    apply_style()
    checkpoints = table.select("index", "checkpoint").unique().sort("index")
    ends = checkpoints[[0, -1]] if len(checkpoints) > 1 else checkpoints
    table = table.with_columns(
        pl.format("{} ({})", "train_task", "method").alias("model")
        if named(table["method"].unique().to_list())
        else pl.col("train_task").alias("model")
    )
    models = table["model"].unique().sort().to_list()
    datasets = (
        table.select("kind", "family", "dataset").unique().sort(pl.all())["dataset"].to_list()
    )
    height = len(ends) * (0.28 * len(models) + 0.45) + 0.9
    figure = Figure(figsize=(PAGE, height), layout="constrained")
    axes = figure.subplots(len(ends), 1, squeeze=False, sharex=True)[:, 0]
    for ax, (index, checkpoint) in zip(axes, ends.iter_rows(), strict=True):
        rows = table.filter(pl.col("index") == index)
        colour, points = (
            _matrix(rows, column, models, datasets, scale)
            for column, scale in (("bounded", 1), ("difference", 100))
        )
        labels = [[_points(v) for v in row] for row in points]
        seaborn.heatmap(
            colour,
            ax=ax,
            vmin=-1,
            vmax=1,
            cmap="PuOr",
            annot=labels,
            fmt="",
            annot_kws={"size": 6},
            linewidths=0.4,
            xticklabels=datasets,
            yticklabels=models,
            cbar=False,
        )
        ax.set_title(checkpoint)
        ax.grid(False)
        ax.tick_params(length=0)
        ax.tick_params(axis="y", rotation=0)
        ax.set_ylabel(translate("tuned on"))
    axes[-1].set_xticks(axes[-1].get_xticks(), datasets, rotation=40, ha="right")
    figure.colorbar(
        axes[0].collections[0], ax=axes, label=translate("relative change"), shrink=0.8, pad=0.01
    )
    return figure


def _points(value: float) -> str:
    """`+46`, `-8`, `0`; empty where there is no cell."""
    if value != value:
        return ""
    rounded = round(value)
    return f"{rounded:+d}" if rounded else "0"


def _matrix(
    rows: pl.DataFrame, column: str, models: list[str], datasets: list[str], scale: float
) -> list[list[float]]:
    """Values as (models, datasets), NaN where there is no cell."""
    found = {
        (model, dataset): value * scale
        for model, dataset, value in rows.select("model", "dataset", column).iter_rows()
        if value is not None
    }
    return [[found.get((m, d), float("nan")) for d in datasets] for m in models]
