"""Each setting's scores along pre-training."""

import numpy as np
import polars as pl
import pytest
from remedy_scores import OWN, Model, remedy_scores

from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.figures.drawing import draw

BASE = Model([0.4, 0.4, 0.4], [0.6, 0.7, 0.8], method=None)
RATES = [
    Model([0.5, 0.9, 0.7], [0.5] * 3, method="lora", swept="lr", setting="lr1", seeds=(0, 1)),
    Model([0.5, 0.6, 0.8], [0.5] * 3, method="lora", swept="lr", setting="lr2", seeds=(0, 1)),
]


@pytest.fixture(scope="module")
def scores():
    return remedy_scores([BASE, *RATES], 400, np.random.default_rng(0))


@pytest.fixture(scope="module")
def table(scores):
    return make_table("along_pretraining", scores, Settings())


def mean(scores, *which):
    """Mean score of the cells of these models."""
    return scores.cells.filter(*which)["value"].mean()


def test_each_setting_has_its_mean_over_seeds(scores, table):
    assert table.select("setting", "checkpoint").rows() == [
        (setting, f"step{step}") for step in range(3) for setting in ("lr1", "lr2")
    ]
    at = (pl.col("setting") == "lr1", pl.col("checkpoint") == "step1")
    [row] = table.filter(*at).iter_rows(named=True)
    assert row["value"] == pytest.approx(mean(scores, *at, pl.col("dataset") == OWN))
    assert (row["n_seeds"], row["fixed"], row["datasets"]) == (2, True, OWN)
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_the_figure_has_a_line_a_setting(scores, table):
    tables = {
        "along_pretraining": table,
        "claims": make_table("claims", scores, Settings()),
    }
    [task] = draw("overtraining", tables).axes
    lines = [line for line in task.lines if len(line.get_xdata()) == 3]
    assert [line.get_label() for line in lines] == ["lora, lr1", "lora, lr2"]
    drawn = table.filter(pl.col("setting") == "lr1")
    assert list(lines[0].get_ydata()) == drawn["value"].to_list()
