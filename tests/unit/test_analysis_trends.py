"""Format times pre-training, and the prediction of the stop: answers computed on paper."""

import numpy as np
import polars as pl
import pytest
from test_analysis_tables import cells, pick

from ptft.analysis import make_table
from ptft.analysis.format_trends import ALL_DATASETS, slope_weights
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.collect import CELLS_SCHEMA
from ptft.statistics import normal_p_values, rank_correlation

BASE = cells().row(0, named=True)


def curves(values, stderr=0.001):
    """Cells from (arm, dataset, format, domain) -> scores at steps 0, 1, 2, ..."""
    rows = []
    for (arm, dataset, fmt, domain), scores in values.items():
        method, task, seed = arm.split(".") if arm != "base" else (None, None, None)
        for step, value in enumerate(scores):
            if value is not None:
                own = {"arm": arm, "method": method, "train_task": task, "dataset": dataset}
                own |= {"seed": seed and int(seed[1:]), "format": fmt, "domain": domain}
                own |= {"checkpoint": f"step{step}", "step": step, "tokens": step}
                rows.append(BASE | own | {"value": value, "stderr": stderr})
    return pl.DataFrame(rows, schema=CELLS_SCHEMA)


def test_slope_of_the_gap():
    made = curves(
        {
            ("base", "a", "default", "base"): (0.5, 0.5, 0.5),
            ("base", "a", "io", "base"): (0.4, 0.4, 0.4),
            ("full.t.s0", "a", "default", "in"): (0.5, 0.6, 0.9),
            ("full.t.s0", "a", "io", "in"): (0.1, 0.3, 0.7),
            ("full.u.s0", "b", "default", "in"): (0.5, 0.5, None),
            ("full.u.s0", "b", "io", "in"): (0.1, 0.5, None),
        }
    )
    table = make_table("format_trends", Scores.build(made), Settings())
    tuned = pick(table, method="full", train_task="t", dataset="a")
    # Gaps -0.4, -0.3, -0.2.
    assert tuned["gap_first"] == pytest.approx(-0.4) and tuned["gap_last"] == pytest.approx(-0.2)
    assert tuned["slope"] == pytest.approx(0.1)
    # Weights -1/2, 0, 1/2 on gaps of two independent scores: 0.001 sqrt(2) sqrt(1/2).
    assert tuned["slope_stderr"] == pytest.approx(0.001, rel=0.05)
    assert tuned["slope_ci_low"] == pytest.approx(0.1 - 0.00196, abs=2e-4)
    assert tuned["p_adjusted"] < 1e-6
    base = pick(table, method=None, dataset="a")
    assert base["slope"] == pytest.approx(0, abs=1e-12) and base["p"] > 0.5
    # The curve with a hole has a row of its own and is not in the mean.
    assert pick(table, train_task="u")["slope"] == pytest.approx(0.4)
    mean = pick(table, method="full", dataset=ALL_DATASETS)
    assert mean["slope"] == pytest.approx(0.1) and mean["p_adjusted"] is None


def test_no_error_no_p_value_and_one_format_no_row():
    made = curves(
        {
            ("base", "a", "default", "base"): (0.5, 0.5),
            ("base", "a", "io", "base"): (0.4, 0.5),
        },
        stderr=None,
    )
    row = make_table("format_trends", Scores.build(made), Settings()).row(0, named=True)
    assert row["slope"] == pytest.approx(0.1)
    assert row["slope_ci_low"] is row["p"] is row["p_adjusted"] is None
    single = Scores.build(made.filter(pl.col("format") == "default"))
    assert make_table("format_trends", single, Settings()).is_empty()


def test_slope_weights_and_wald():
    assert slope_weights([0, 1, 2, 3]) @ np.array([1, 3, 5, 7]) == pytest.approx(2)
    assert normal_p_values([1.96, 0.0, 1.0], [1.0, 0.0, np.nan])[:2] == pytest.approx(
        [0.05, 1.0], abs=1e-4
    )


def stopping_study(n, turn_of):
    """Task i levels off at checkpoint i + 1; its base model at ``turn_of(i)``."""
    values = {}
    for i in range(n):
        stop, turn = i + 1, turn_of(i)
        values[f"full.t{i}.s0", f"d{i}", "default", "in"] = [0.2] * stop + [0.8] * (n + 2 - stop)
        values["base", f"d{i}", "default", "base"] = [0.2] * turn + [0.6] * (n + 2 - turn)
    return Scores.build(curves(values))


@pytest.mark.parametrize(
    ("n", "turn_of", "rho", "p", "verdict"),
    [
        (6, lambda i: i + 1, 1.0, 2 / 720, "related"),
        (6, lambda i: 6 - i, -1.0, 2 / 720, "related"),
        (6, lambda i: (3, 6, 1, 2, 5, 4)[i], 3 / 35, None, "not shown"),
        (4, lambda i: i + 1, 1.0, 2 / 24, "too few tasks"),
        (6, lambda i: 2, None, None, "no spread"),
        (2, lambda i: i + 1, None, None, "too few tasks"),
    ],
)
def test_turning_point_and_stop(n, turn_of, rho, p, verdict):
    table = make_table("stopping_prediction", stopping_study(n, turn_of), Settings())
    row = table.row(0, named=True)
    assert (row["n_tasks"], row["verdict"]) == (n, verdict)
    assert row["rho"] == (None if rho is None else pytest.approx(rho))
    if p is not None:
        assert row["p"] == pytest.approx(p)


def test_rank_correlation_is_scipys():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=7), rng.integers(0, 3, 7)
    found = rank_correlation(x, y)
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    assert found.null_low == pytest.approx(-found.null_high, abs=0.1)
    assert found.smallest_p <= found.p <= 1
