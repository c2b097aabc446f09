"""Size of the trend tests and coverage of the intervals, as benchmarks/coverage.py found them.

docs/analysis.md, "Measured coverage", names the same exceptions.
"""

import json

import numpy as np
import pytest
from scipy.stats import binom

from ptft.analysis.statistics import score_interval

pytestmark = pytest.mark.slow

SIZE, SIZE_LIMIT = 0.05, 0.015
COVERAGE, COVERAGE_LIMIT = 0.95, 0.02
EDGES = (0.02, 0.99)
WALK, DRIFT = "random walk", "examples drift"
RERUN = 600
# Without a seed's spread these three are Wilson's interval of one score.
WILSON = ("cell", "tuned", "tuned_of_model")


@pytest.fixture(scope="module")
def result(repository):
    return json.loads((repository / "benchmarks/results/coverage.json").read_text())


@pytest.fixture
def benchmark(load_benchmark):
    return load_benchmark("coverage")


def size_exceptions(test, row):
    """Names of what makes a test reject a true null too seldom or too often."""
    k, n, edge, sd = row["checkpoints"], row["n"], row["score"] in EDGES, row["sd"]
    names = {
        "few orders": test == "kendall" and (k == 4 or k <= 8 and row["null"] != DRIFT),
        "few answers of a kind": edge and (n == 120 or (k, row["score"]) == (8, 0.99)),
        "skewed scatter": edge and sd > 0,
        "drifting examples": test == "kendall" and k > 4 and row["null"] == DRIFT,
    }
    return {name for name, holds in names.items() if holds}


def coverage_exceptions(name, row):
    """Names of what makes an interval hold the truth too seldom or too often."""
    method = not name.endswith("_of_model") and name != "cell"
    edge, seeds, spread = row["score"] in EDGES, row["seeds"], row["spread"]
    level = name.removesuffix("_of_model")
    names = {
        "one seed for the method": method and seeds == 1 and spread > 0,
        "two models near 0 or 1": level == "difference" and edge and row["n"] == 120,
        "few answers of a kind": level == "tuned" and edge and row["n"] == 120 and seeds > 1,
        "seeds that agree": seeds > 1 and spread == 0,
        "drawn badly": name in WILSON and (row["n"], row["score"], spread) == (120, 0.5, 0),
    }
    return {name for name, holds in names.items() if holds}


def test_tests_of_a_trend_have_their_size(result):
    missed = set()
    for row in result["trends"]:
        for test in ("line", "kendall"):
            if abs(row[test] - SIZE) <= SIZE_LIMIT or row["null"] == WALK:
                continue
            names = size_exceptions(test, row)
            assert names, (test, row)
            missed |= names
            too_often = row[test] > SIZE
            assert too_often == ("drifting examples" in names), (test, row)
    assert missed == {
        "few orders", "few answers of a kind", "skewed scatter", "drifting examples",
    }  # fmt: skip


def test_the_line_is_never_taken_for_a_trend_too_often(result):
    for row in result["trends"]:
        assert row["null"] == WALK or row["line"] <= SIZE + SIZE_LIMIT, row


def test_intervals_hold_the_truth(result):
    settings = ("kind", "n", "score", "seeds", "spread")
    assert len(result["intervals"]) == 42
    missed = set()
    for row in result["intervals"]:
        for name in row.keys() - set(settings):
            if abs(row[name] - COVERAGE) > COVERAGE_LIMIT:
                names = coverage_exceptions(name, row)
                assert names, (name, row)
                missed |= names
            # Over several seeds they may be too wide, never too narrow.
            assert row["seeds"] == 1 or row[name] >= COVERAGE - COVERAGE_LIMIT, (name, row)
    assert missed == {
        "one seed for the method", "two models near 0 or 1", "few answers of a kind",
        "seeds that agree", "drawn badly",
    }  # fmt: skip


@pytest.mark.parametrize("n", [120, 2000])
@pytest.mark.parametrize("score", [0.02, 0.5, 0.99])
def test_wilsons_interval_holds_by_exact_count(n, score):
    right = np.arange(n + 1)
    mean = right / n
    low, high = score_interval(mean, mean * (1 - mean) / n, np.full(n + 1, n))
    held = binom.pmf(right, n, score)[(low <= score) & (score <= high)].sum()
    assert held == pytest.approx(COVERAGE, abs=COVERAGE_LIMIT)


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        ("trends", {"null": DRIFT, "checkpoints": 6, "n": 120, "score": 0.5, "sd": 0.0}),
        ("intervals", {"n": 120, "score": 0.02, "seeds": 1, "spread": 0.0}),
    ],
)
def test_another_seed_gives_the_committed_numbers(result, benchmark, part, setting):
    settings, measured = benchmark.PARTS[part]
    (asked,) = [one for one in settings if setting.items() <= one.items()]
    (row,) = [one for one in result[part] if asked.items() <= one.items()]
    for name, share in measured(asked, RERUN, seed=1).items():
        error = (row[name] * (1 - row[name]) * (1 / RERUN + 1 / result["draws"])) ** 0.5
        assert share == pytest.approx(row[name], abs=3.5 * error), name
