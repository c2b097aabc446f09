"""Hand-made cells and scores that several tests share."""

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import replicate_table
from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.scores import Scores

# (arm, dataset, format) -> score at steps 10 and 100.
VALUES = {
    ("base", "nli_in", "default"): (0.30, 0.34),
    ("base", "nli_in", "io"): (0.20, 0.30),
    ("base", "nli_out", "default"): (0.30, 0.30),
    ("base", "story", "default"): (0.10, 0.20),
    ("base", "quiz", "default"): (0.25, 0.65),
    ("full.nli.s0", "nli_in", "default"): (0.35, 0.80),
    ("full.nli.s0", "nli_in", "io"): (0.30, 0.50),
    ("full.nli.s0", "nli_out", "default"): (0.30, 0.40),
    ("full.nli.s0", "story", "default"): (0.05, 0.05),
    ("full.nli.s0", "quiz", "default"): (0.25, 0.60),
    ("full.story.s0", "story", "default"): (0.20, 0.30),
    ("full.story.s0", "nli_in", "default"): (0.30, 0.51),
    ("full.story.s0", "quiz", "default"): (0.20, 0.65),
}
FAMILY = {
    "nli_in": ("nli", "classification", 1 / 3),
    "nli_out": ("nli", "classification", 1 / 3),
    "story": ("summarization", "generation", None),
    "quiz": ("multiple_choice", "multiple_choice", 0.25),
}
OWN = {("nli", "nli_in"): "in", ("nli", "nli_out"): "out", ("story", "story"): "in"}


def cell(**own):
    """A row of the cells table; of a base model on a test set, where nothing else is said."""
    usual = {"study": "hand", "model": "m", "domain": "base", "kind": "classification"}
    usual |= {"format": "default", "shots": 0, "metric": "m", "stderr": 0.01, "n": 100}
    return usual | {"main": True, "truncated": 0.0} | own


def cells(values=VALUES, stderr=0.01):
    rows = []
    for (arm, dataset, format_name), scores in values.items():
        method, task, seed = arm.split(".") if arm != "base" else (None, None, None)
        family, kind, chance = FAMILY[dataset]
        for step, value in zip((10, 100), scores, strict=True):
            rows.append(
                cell(
                    checkpoint=f"step{step}", step=step, tokens=step * 1000, arm=arm, method=method,
                    train_task=task, seed=None if seed is None else int(seed[1:]), family=family,
                    domain="base" if task is None else OWN.get((task, dataset), "cross"),
                    dataset=dataset, kind=kind, format=format_name, shots=4, value=value,
                    stderr=stderr, chance=chance,
                )
            )  # fmt: skip
    return pl.DataFrame(rows, schema=CELLS_SCHEMA)


def pick(table, **wanted):
    found = table.filter(pl.all_horizontal(pl.col(k).eq_missing(v) for k, v in wanted.items()))
    assert len(found) == 1, found
    return found.row(0, named=True)


def scores_of(base, tuned, n=120, **audit):
    """Scores of ``n`` answers at two checkpoints; ``audit`` is known of every cell's answers."""
    values = {("base", "nli_in", "default"): base, ("full.nli.s0", "nli_in", "default"): tuned}
    frame = cells(values).with_columns(
        n=pl.lit(n, pl.Int64), stderr=(pl.col("value") * (1 - pl.col("value")) / n).sqrt()
    )
    known = {"gold_share": 0.4, "prediction_share": 0.5} | audit
    drawn = np.random.default_rng(0).normal(size=(len(frame), 2000))
    drawn = frame["value"].to_numpy()[:, None] + frame["stderr"].to_numpy()[:, None] * drawn
    return Scores.build(frame, replicate_table(frame, drawn, **known))
