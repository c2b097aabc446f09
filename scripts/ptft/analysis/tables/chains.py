"""Chains of trainings: what each link gained, and what it cost the ones before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from ptft.analysis.estimates import Estimates, SeedPart, with_interval
from ptft.analysis.scores import CHECKPOINT, Scores, once
from ptft.analysis.settings import Settings

MEASURES = ("average_accuracy", "backward_transfer", "forgetting")
CHAIN = ["method", "setting", "links"]
Link = tuple[str, str, str | None]
"""method, task, setting of one training of a chain"""


def retention(scores: Scores, settings: Settings) -> pl.DataFrame:
    """The retention matrix: the score on each task of a chain after each of its links.

    One row per (checkpoint, chain, ``after`` which task, ``on`` which task): value with its
    interval, the mean over the own test sets of the task, in ``settings.format``, seeds averaged.
    ``links``: the chain's tasks in their order; method and setting are those of its last link.
    """
    view, found = _matrices(scores, settings)
    rows = [
        (*where, tasks[i], tasks[j], matrix[i, j])
        for where, tasks, matrix in found
        for i in range(len(tasks))
        for j in range(len(tasks))
    ]
    names = [*CHECKPOINT, *CHAIN, "after", "on"]
    return _table(view, names, rows, ["value"], settings)


def chains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Retention of chains, from table `retention`: R(i, j) after link i on task j of T.

    One row per (checkpoint, chain). average_accuracy: mean of R(T, j) over all tasks;
    backward_transfer: mean of R(T, j) - R(j, j) over all tasks but the last (both Lopez-Paz &
    Ranzato 2017, arXiv 1706.08840); forgetting: mean of the largest R(l, j), l < T, less R(T, j)
    over these (Chaudhry et al. 2018, arXiv 1801.10112). All with intervals, seeds averaged.
    """
    view, found = _matrices(scores, settings)
    rows = [(*where, *measures(matrix)) for where, _, matrix in found]
    return _table(view, [*CHECKPOINT, *CHAIN], rows, MEASURES, settings)


def measures(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average accuracy, backward transfer and forgetting of retention matrices (T, T, V): (V,)."""
    last, own = matrix[-1], np.einsum("iiv->iv", matrix)
    best = matrix[:-1, :-1].max(axis=0)
    return last.mean(axis=0), (last - own)[:-1].mean(axis=0), (best - last[:-1]).mean(axis=0)


def _table(
    view: Scores, names: list[str], rows: list[tuple], values: tuple | list, settings: Settings
) -> pl.DataFrame:
    """Rows whose last parts are versions (V,) of estimates: the estimate, draws, each seed."""
    text = dict.fromkeys(names, pl.String) | {"step": pl.Int64, "tokens": pl.Int64}
    schema = text | {"index": pl.Int64}
    table = pl.DataFrame([row[: len(names)] for row in rows], schema, orient="row")
    ends = 1 + view.draws.shape[1]
    for at, name in enumerate(values, start=len(names)):
        versions = np.array([row[at] for row in rows]) if rows else np.empty((0, ends))
        own = versions[:, 0]
        found = Estimates(own, versions[:, 1:ends], SeedPart.of(versions[:, ends:]))
        table = table.with_columns(pl.Series(name, own, pl.Float64))
        prefix = "" if len(values) == 1 else f"{name}_"
        table = with_interval(table, found, settings.level, prefix)
    return table


@once
def _matrices(scores: Scores, settings: Settings) -> tuple[Scores, list[tuple]]:
    """Each chain's place, tasks and retention matrix (T, T, V) at each checkpoint."""
    view = scores.main_view(settings.format, settings.shots)
    cells = view.cells.filter(pl.col("derived").is_null())
    own = (
        cells.filter(pl.col("domain") == "in")
        .group_by("train_task")
        .agg(pl.col("dataset").unique())
    )
    sets = {task: set(datasets) for task, datasets in own.rows()}
    known = {
        (checkpoint, (method, task, setting), dataset): row
        for checkpoint, method, task, setting, dataset, row in cells.select(
            "checkpoint", "method", "train_task", "setting", "dataset", "row"
        ).rows()
    }
    values = dict(cells.select("row", "value").rows())

    def versions(checkpoint: str, link: Link, task: str) -> np.ndarray:
        rows = [known[checkpoint, link, dataset] for dataset in sorted(sets[task])]
        drawn, by_seed = (each[np.array(rows)].mean(axis=0) for each in (view.draws, view.by_seed))
        return np.concatenate([[np.mean([values[row] for row in rows])], drawn, by_seed])

    found = []
    for place in scores.checkpoints.rows():
        for chain in _chains(scores.arms, place[0]):
            tasks = [task for _, task, _ in chain]
            matrix = np.array(
                [[versions(place[0], link, task) for task in tasks] for link in chain]
            )
            method, _, setting = chain[-1]
            found.append(((*place, method, setting, " ".join(tasks)), tasks, matrix))
    return view, found


def _chains(arms: pl.DataFrame | None, checkpoint: str) -> Iterator[list[Link]]:
    """The links of every arm that goes on from another, from the first training on, seeds once."""
    if arms is None or "after" not in arms.columns:
        return
    at = arms.filter(pl.col("checkpoint") == checkpoint)
    about = {
        row["arm"]: ((row["method"], row["train_task"], row["setting"]), row["after"])
        for row in at.rows(named=True)
    }
    told = set()
    for arm, (link, after) in about.items():
        if after is None or link in told:
            continue
        told.add(link)
        chain = []
        while arm is not None:
            chain.append(about[arm][0])
            arm = about[arm][1]
        yield chain[::-1]
