"""Chains of trainings: the retention matrix and its measures, by hand."""

import numpy as np
import polars as pl
import pytest
from score_tables import cell

from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.chains import chains, measures, retention

# Task -> its own test set; arm -> what it is, what it goes on from, its score on each test set.
SETS = {"a": "a1", "b": "b1", "c": "c1"}
ARMS = {
    "base": (None, None, None, None, [0.5, 0.5, 0.5]),
    "full.a.s0": ("a", None, 0, None, [0.9, 0.5, 0.4]),
    "full.b.two.s0": ("b", "two", 0, "full.a.s0", [0.7, 0.8, 0.5]),
    "full.c.three.s0": ("c", "three", 0, "full.b.two.s0", [0.75, 0.6, 1.0]),
}


@pytest.fixture
def scores():
    rows, arms = [], []
    for arm, (task, setting, seed, after, values) in ARMS.items():
        for (own, dataset), value in zip(SETS.items(), values, strict=True):
            rows.append(
                cell(
                    checkpoint="step1", step=1, tokens=10, arm=arm, method=task and "full",
                    train_task=task, setting=setting, seed=seed, family=own, dataset=dataset,
                    domain="base" if task is None else "in" if own == task else "cross",
                    value=value, ci_low=value, ci_high=value, chance=0.5,
                )
            )  # fmt: skip
        if task:
            about = {"checkpoint": "step1", "arm": arm, "method": "full", "train_task": task}
            arms.append(about | {"setting": setting, "seed": seed, "after": after})
    built = Scores.build(pl.DataFrame(rows, CELLS_SCHEMA))
    return Scores(built.cells, built.draws, built.by_seed, arms=pl.DataFrame(arms))


def test_measures_by_hand():
    """R = [[.9 .5 .4] [.7 .8 .5] [.75 .6 1]]: last row, against its diagonal, against the best."""
    matrix = np.array([ARMS[arm][-1] for arm in list(ARMS)[1:]])[..., None]
    average, transfer, forgetting = (one.item() for one in measures(matrix))
    assert average == pytest.approx((0.75 + 0.6 + 1.0) / 3)
    assert transfer == pytest.approx(((0.75 - 0.9) + (0.6 - 0.8)) / 2)
    assert forgetting == pytest.approx(((0.9 - 0.75) + (0.8 - 0.6)) / 2)


def test_every_link_ends_a_chain(scores):
    table = chains(scores, Settings())
    assert table.select("method", "setting", "links").rows() == [
        ("full", "two", "a b"), ("full", "three", "a b c"),
    ]  # fmt: skip
    assert table["average_accuracy"].to_list() == pytest.approx([0.75, 2.35 / 3])
    assert table["backward_transfer"].to_list() == pytest.approx([-0.2, -0.175])
    assert table["forgetting"].to_list() == pytest.approx([0.2, 0.175])
    # Independent cells of standard error .01: that of .7 - .9 is .01 x sqrt 2.
    assert table["backward_transfer_stderr"][0] == pytest.approx(0.01 * 2**0.5, rel=0.1)
    matrix = retention(scores, Settings()).filter(pl.col("setting") == "three")
    found = matrix.select("after", "on", "value").rows()
    assert found[:4] == [("a", "a", 0.9), ("a", "b", 0.5), ("a", "c", 0.4), ("b", "a", 0.7)]
    assert len(found) == 9


def test_without_chains_there_is_nothing(scores):
    alone = Scores(scores.cells, scores.draws, scores.by_seed)
    assert len(chains(alone, Settings())) == len(retention(alone, Settings())) == 0
