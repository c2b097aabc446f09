"""Format times pre-training: answers computed on paper."""

import dataclasses
import math
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from score_tables import cells, pick

from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.findings import latent
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import adjust_p_values
from ptft.analysis.tables import make_table
from ptft.analysis.tables.formats import ALL_DATASETS
from ptft.analysis.trends import Axis, curve_scatter, curve_trend, kendall_trend, line_trend

BASE = cells().row(0, named=True)


def curves(values, stderr=0.001):
    """Cells from (arm, dataset, format, domain) -> scores at steps 0, 1, 2, ..."""
    rows = []
    for (arm, dataset, format_name, domain), scores in values.items():
        method, task, seed = arm.split(".") if arm != "base" else (None, None, None)
        for step, value in enumerate(scores):
            if value is not None:
                own = {"arm": arm, "method": method, "train_task": task, "dataset": dataset}
                own |= {"seed": seed and int(seed[1:]), "format": format_name, "domain": domain}
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


def test_of_twenty_curves_without_a_trend_none_is_said_to_rise():
    noise = np.random.default_rng(20).normal(0.5, 0.05, (20, 2, 8))
    made = curves(
        {
            (arm, f"d{at}", "default", domain): tuple(noise[at, which])
            for at in range(20)
            for which, (arm, domain) in enumerate([("base", "base"), ("full.t.s0", "in")])
        },
    )
    scores = Scores.build(made)
    tables = {name: make_table(name, scores, Settings()) for name in ("latent", "suspicious")}
    groups = make_table("groups", scores, Settings())
    # As many as chance lets through: one in twenty, or so.
    assert (tables["latent"]["tuned_slope_p"] < 0.05).any() and (groups["slope_p"] < 0.05).any()
    both = pl.concat([tables["latent"][f"{which}_slope_p"] for which in ("base", "tuned")])
    adjusted = adjust_p_values(both.to_numpy())
    assert tables["latent"]["base_slope_p_adjusted"].to_list() == pytest.approx(adjusted[:20])
    assert tables["latent"]["tuned_slope_p_adjusted"].to_list() == pytest.approx(adjusted[20:])
    assert groups["slope_p_adjusted"].to_list() == pytest.approx(
        adjust_p_values(groups["slope_p"].to_numpy())
    )
    assert adjusted.min() > 0.05 and groups["slope_p_adjusted"].min() > 0.05
    rows = [found for found in latent(tables, Settings(), []) if found.kind == "curve"]
    assert [row.more["slope_verdict"] for row in rows] == ["undecided"] * 20


def test_slope_with_checkpoints_as_a_sample_is_linear_regression():
    from scipy.stats import linregress, t

    x, y = np.arange(6), np.array([0.31, 0.36, 0.33, 0.45, 0.38, 0.47])
    trusted = linregress(x, y)
    found = line_trend(x, y)
    assert (found.slope, found.stderr, found.p) == pytest.approx(
        (trusted.slope, trusted.stderr, trusted.pvalue)
    )
    assert found.high - found.slope == pytest.approx(t.ppf(0.975, 4) * trusted.stderr)
    # Errors of the examples that are the same at every checkpoint, or independent, are seen in the
    # scatter already; examples that themselves rise or fall are not.
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, (1, 20_000)) + rng.normal(0, 0.01, (6, 20_000))
    assert line_trend(x, y, shared).stderr == pytest.approx(trusted.stderr, rel=0.01)
    tilted = x[:, None] * rng.normal(0, 0.02, (1, 20_000))
    assert line_trend(x, y, tilted).stderr == pytest.approx(
        np.hypot(trusted.stderr, 0.02), rel=0.01
    )
    two = line_trend([0, 1], np.array([0.1, 0.4]), rng.normal(0, 0.01, (2, 100)))
    assert two.slope == pytest.approx(0.3) and np.isnan([two.stderr, two.low, two.p]).all()


def test_points_on_a_line_leave_the_examples_error():
    drawn = np.random.default_rng(0).normal(0, 0.01, (3, 20_000))
    found = line_trend([0, 1, 2], np.array([0.1, 0.2, 0.3]), drawn)
    # Weights -1/2, 0, 1/2.
    assert found.stderr == pytest.approx(0.01 / np.sqrt(2), rel=0.02)
    for drawn in (None, np.full((4, 50), 0.7)):
        constant = line_trend([0, 1, 2, 3], np.full(4, 0.7), drawn)
        assert (constant.slope, constant.p) == (0, 1)


def test_kendall_is_exact_with_ties():
    # Six rising values: tau 1, p = 2 / 6!.
    assert kendall_trend([1, 2, 3, 4, 5, 6]) == pytest.approx((1.0, 2 / 720))
    # One swap of neighbours among four: 5 concordant, 1 discordant.
    assert kendall_trend([1, 3, 2, 4])[0] == pytest.approx(4 / 6)
    assert kendall_trend([0.5, 0.5, 0.5]) == (0.0, 1.0)
    for values in ([1, 1, 2, 3], [3, 1, 2, 2, 1, 1], [0.2, 0.2, 0.3, 0.1, 0.3]):

        def concordance(order):
            return sum(np.sign(b - a) for i, a in enumerate(order) for b in order[i + 1 :])

        orders = [abs(concordance(order)) for order in permutations(values)]
        exact = np.mean(np.array(orders) >= abs(concordance(values)))
        assert kendall_trend(values)[1] == pytest.approx(exact)
    # Twelve checkpoints are more orders than can be gone through: 2 of 12! / 2! without ties.
    assert kendall_trend([1, 1, *range(2, 12)])[1] == pytest.approx(2 * 2 / math.factorial(12))


OLMO = pl.DataFrame(
    {"step": [1000, 18_000, 342_000, 505_000, 738_000, 738_020]},
).with_columns(tokens=pl.col("step") * 4_000_000)


def test_two_checkpoints_with_nearly_the_same_tokens_count_once():
    axis = Axis.of(OLMO)
    assert axis.places.tolist() == [0, 1, 2, 3, 4, 4]
    noise = np.random.default_rng(0).normal(0, 0.01, (6, 500))
    curve = np.array([0.1, 0.3, 0.2, 0.35, 0.5, 0.3])
    found = curve_trend(range(6), curve, curve[:, None] + noise, axis)
    merged = np.vstack([noise[:4], noise[4:].mean(axis=0)])
    alone = line_trend(range(5), [0.1, 0.3, 0.2, 0.35, 0.4], merged)
    assert dataclasses.astuple(found.line) == pytest.approx(dataclasses.astuple(alone))
    assert found.tau == pytest.approx(0.8)  # one of ten pairs is in the other order
    without_tokens = Axis.of(OLMO.with_columns(tokens=pl.lit(None, pl.Int64)))
    assert without_tokens.places.tolist() == axis.places.tolist()  # by their steps
    assert np.isnan(curve_trend(range(6), curve, noise, without_tokens).log_line.slope)


def test_a_line_in_the_logarithm_of_tokens():
    axis = Axis.of(OLMO)
    curve = 0.2 + 0.1 * axis.log_tokens
    found = curve_trend(range(6), curve, np.tile(curve[:, None], 9), axis)
    assert found.log_line.slope == pytest.approx(0.1) and found.log_line.p < 1e-9
    # Tokens of one point are the mean of the logarithms of both.
    assert found.line.slope == pytest.approx(
        line_trend(range(5), [*curve[:4], curve[4:].mean()]).slope
    )


def test_a_verdict_that_hangs_on_an_end_says_so():
    axis = Axis(np.arange(6), np.full(6, np.nan))

    def hangs_on(*curve):
        curve = np.array(curve)
        drawn = curve[:, None] + np.random.default_rng(1).normal(0, 1e-3, (6, 200))
        found = curve_trend(range(6), curve, drawn, axis)
        return found.line.p < 0.05, found.hangs_on(0.05)

    assert hangs_on(0.0, 0.38, 0.4, 0.41, 0.39, 0.62) == (True, "both")
    assert hangs_on(0.0, 0.15, 0.25, 0.2, 0.3, 0.27) == (True, "first")
    assert hangs_on(0.27, 0.3, 0.2, 0.25, 0.15, 0.0) == (True, "last")
    assert hangs_on(0.0, 0.1, 0.2, 0.3, 0.4, 0.5) == (True, None)
    assert hangs_on(0.9, 0.1, 0.2, 0.3, 0.4, 0.5) == (False, "first")  # a trend but for one


def test_scatter_about_a_line_is_that_of_the_points():
    rng = np.random.default_rng(0)
    curve = 0.01 * np.arange(4000) + rng.normal(0, 0.05, 4000)
    none = np.full((4000, 1), np.nan)
    found = curve_scatter(range(4000), curve, none)
    assert found.steps == pytest.approx(0.05, rel=0.05)
    assert (found.twins, found.twins_of) == (pytest.approx(0.0707, rel=0.05), "neighbours")
    # Three seeds each: their differences say more of twins than neighbours do.
    seeds = curve[:, None] + rng.normal(0, 0.2, (4000, 3))
    found = curve_scatter(range(4000), seeds.mean(axis=1), seeds)
    assert (found.twins, found.twins_of) == (pytest.approx(np.sqrt(2) * 0.2, rel=0.05), "seeds")


def test_the_examples_part_of_a_slopes_error():
    """That of independent errors of .02 at four points is .02 / sqrt(5), whatever the curve is."""
    curve = np.array([0.5, 0.51, 0.52, 0.5301])
    noise = np.random.default_rng(0).normal(0, 0.02, (4, 20_000))
    found = line_trend(range(4), curve, curve[:, None] + noise)
    assert found.examples == pytest.approx(0.02 / np.sqrt(5), rel=0.02)
    assert found.stderr < found.examples  # these four are on a line by luck
