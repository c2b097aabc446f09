"""The stopping rule on planted curves: right checkpoint, honest coverage."""

import numpy as np
import pytest
from score_tables import cells, pick

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import bootstrap_means
from ptft.analysis.tables import make_table
from ptft.analysis.tables.stopping import stop_point

MARGIN, LEVEL = 0.03, 0.95
CURVES = {
    "saturating": [0.40, 0.60, 0.72, 0.78, 0.80, 0.80, 0.80],
    "rising": [0.35, 0.45, 0.55, 0.62, 0.68, 0.74, 0.80],
    "flat": [0.50] * 7,
    "noisy": [0.40, 0.66, 0.60, 0.71, 0.64, 0.72, 0.70],
    # Every early point lies just outside the margin: the hardest case for a false claim.
    "just outside": [0.765] * 6 + [0.80],
}
# Earliest point from which on the true curve stays within the margin of its end.
TRUTH = {"saturating": 3, "rising": 6, "flat": 0, "noisy": 5, "just outside": 6}
# Share of draws in which the plain rule must find it.
EXACT = {"saturating": 0.6, "rising": 0.9, "flat": 0.5, "noisy": 0.5, "just outside": 0.4}


def draw(curve, n, rng):
    """Right or wrong answers (n, K); examples differ in difficulty, so columns are correlated."""
    difficulty = rng.normal(0, 1.5, n)[:, None]
    logits = np.log(np.array(curve) / (1 - np.array(curve)))
    chance = 1 / (1 + np.exp(-(logits * 1.25 - difficulty)))
    # Rescale so that the mean is the planted accuracy of these examples.
    chance += np.array(curve) - chance.mean(axis=0)
    return (rng.random((n, len(curve))) < np.clip(chance, 0, 1)).astype(float)


@pytest.mark.parametrize("name", CURVES)
def test_true_curve_gives_the_true_stop(name):
    curve = np.array(CURVES[name])
    exact = np.repeat(curve[:, None], 10, axis=1)
    found = stop_point(curve, exact, MARGIN, LEVEL)
    assert (found.stop, found.safe, found.support) == (TRUTH[name], TRUTH[name], 1.0)


@pytest.mark.parametrize("name", CURVES)
def test_coverage_over_random_draws(name):
    """Over 200 draws of 600 examples, a stop claimed with confidence is truly good enough."""
    curve, rng = np.array(CURVES[name]), np.random.default_rng(7)
    draws, wrong, exact = 200, 0, 0
    for _ in range(draws):
        scores = draw(curve, 600, rng)
        replicates = bootstrap_means(scores, 300, seed=int(rng.integers(1 << 30))).T
        found = stop_point(scores.mean(axis=0), replicates, MARGIN, LEVEL)
        wrong += found.safe < TRUTH[name]
        exact += found.stop == TRUTH[name]
    # 5 % wrong claims allowed; 200 draws of that give at most 18 with probability 0.99.
    assert wrong <= 18
    # The plain rule, by the scores as they are, is right less often the nearer scores lie to the
    # margin; with every early score just outside it, it is fooled often. That is what the
    # confidence statement is for.
    assert exact >= EXACT[name] * draws


def test_unknown_errors_give_no_confidence():
    curve = np.array([0.1, 0.5, 0.5])
    found = stop_point(curve, np.full((3, 10), np.nan), 0.02, 0.95)
    assert (found.stop, found.support, found.safe) == (1, None, None)


def test_table():
    values = {
        ("base", "nli_in", "default"): (0.33, 0.33),
        ("full.nli.s0", "nli_in", "default"): (0.79, 0.80),
    }
    scores = Scores.build(cells(values, stderr=0.002))
    table = make_table("stopping", scores, Settings())
    row = pick(table, train_task="nli", dataset="nli_in")
    assert row["stop_checkpoint"] == row["safe_checkpoint"] == "step10"
    # 10,000 of 100,000 tokens: 90 % saved.
    assert row["stop_share_saved"] == pytest.approx(0.9)
    assert row["safe_share_saved"] == pytest.approx(0.9)


def test_noise_as_large_as_the_margin_gives_no_safe_stop():
    values = {
        ("base", "nli_in", "default"): (0.33, 0.33),
        ("full.nli.s0", "nli_in", "default"): (0.80, 0.80),
    }
    table = make_table("stopping", Scores.build(cells(values, stderr=0.02)), Settings())
    assert table.select("stop_checkpoint", "safe_checkpoint").rows() == [("step10", "step100")]
    assert 0.6 < table["stop_support"][0] < 0.9
