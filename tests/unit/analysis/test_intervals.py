"""Intervals at the edges and over training seeds: textbook values and coverage."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest, norm, t
from score_tables import cells, pick

from ptft.analysis.estimates import SeedPart
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import (
    bootstrap_means,
    confidence_draws,
    over_seeds,
    score_interval,
    small_sample_p,
    small_sample_quantile,
)
from ptft.analysis.tables import make_table


@pytest.mark.parametrize(("right", "n"), [(120, 120), (0, 120), (119, 120), (60, 120), (3, 2000)])
def test_means_of_right_and_wrong_have_wilsons_interval(right, n):
    mean = right / n
    low, high = score_interval(mean, mean * (1 - mean) / n, n)
    trusted = binomtest(right, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((trusted.low, trusted.high))


def test_what_varies_less_counts_as_more_examples():
    # A quarter of the variance of right-or-wrong answers: four times the examples.
    low, high = score_interval(0.9, 0.25 * 0.9 * 0.1 / 100, 100)
    trusted = binomtest(360, 400).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((trusted.low, trusted.high))
    # A loss knows no bounds: the normal interval.
    low, high = score_interval(2.5, 0.01, 100)
    assert (low, high) == pytest.approx((2.5 - 0.196, 2.5 + 0.196), abs=1e-4)
    assert np.isnan(score_interval(np.array([0.5]), np.array([np.nan]), np.array([100]))).all()


def test_draws_have_the_interval_and_keep_the_pairing():
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    scores = np.column_stack([hard < 0.7, hard < 0.72, rng.random(400) < 0.7, np.ones(400)])
    replicates = bootstrap_means(scores, 4000, 1).T
    mean, n = scores.mean(axis=0), np.full(4, 400)
    noise = rng.standard_normal(replicates.shape)
    draws = confidence_draws(mean, scores.var(axis=0) / n, n, replicates, noise)
    low, high = np.percentile(draws, [2.5, 97.5], axis=1)
    wilson = score_interval(mean, scores.var(axis=0) / n, n)
    np.testing.assert_allclose([low, high], wilson, atol=5e-4)
    # The first two differ on few examples, the first and third on many: (b + c + 2) / n^2.
    for other in (1, 2):
        discordant = (scores[:, 0] != scores[:, other]).sum()
        expected = (discordant + 2 - 400 * (mean[0] - mean[other]) ** 2) / 400**2
        assert (draws[0] - draws[other]).var() == pytest.approx(expected, rel=0.1)


def test_small_samples():
    share, freedom = np.array([0.0, 1.0, 0.5]), np.array([np.inf, 2, 2])
    found = small_sample_quantile(0.025, share, freedom)
    assert found[:2] == pytest.approx([norm.ppf(0.975), t.ppf(0.975, 2)])
    assert found[0] < found[2] < found[1]
    p = [small_sample_p(*one) for one in zip(found, share, freedom, strict=True)]
    assert p == pytest.approx([0.05] * 3)
    assert small_sample_p(100.0, 0.0, 1.0) == 0 and small_sample_p(0.0, 0.5, 3.0) == 1
    both = SeedPart.total([SeedPart.of(np.array([[0.1, 0.2, 0.3]]))] * 2)
    assert (both.variance[0], both.freedom[0]) == pytest.approx((2 * 0.01 / 3, 4))
    single = SeedPart.of(np.array([[0.1, np.nan, np.nan]]))
    assert (single.variance[0], single.freedom[0]) == (0, np.inf)


def test_over_seeds_adds_the_two_parts_and_counts_noise_once():
    rng = np.random.default_rng(0)
    normals = rng.standard_normal((3, 20_000))
    # Seeds' scores 0.1 apart; every seed answers the same examples alike: error 0.02, shared.
    values, shared = np.array([0.4, 0.5, 0.6]), 0.02 * rng.standard_normal(20_000)
    drawn, variance = over_seeds(values, values[:, None] + shared, normals)
    assert variance == pytest.approx(0.01 / 3 + 0.02**2, rel=0.02)
    assert (drawn.mean(), drawn.var()) == pytest.approx((0.5, variance), rel=0.05)
    # Each seed with noise of its own, which their spread shows already.
    own = values[:, None] + 0.02 * rng.standard_normal((3, 20_000))
    assert over_seeds(values, own, normals)[1] == pytest.approx(0.01 / 3, rel=0.02)


def test_a_perfect_score_is_not_certain():
    frame = cells({("base", "nli_in", "default"): (0.5, 1.0)}, stderr=0.0)
    row = pick(make_table("base_scores", Scores.build(frame), Settings()), checkpoint="step100")
    trusted = binomtest(100, 100).proportion_ci(method="wilson")
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((trusted.low, 1.0), abs=1e-4)


def test_a_released_error_of_zero_takes_the_fewest_effective_examples():
    frame = cells({("base", "nli_in", "default"): (0.5, 1.0)}, stderr=0.05).with_columns(
        n=pl.lit(None, pl.Int64),
        stderr=pl.when(pl.col("value") == 1).then(0.0).otherwise("stderr"),
    )
    both = make_table("base_scores", Scores.build(frame), Settings())
    # 0.5 with an error of 0.05 is worth 100 answers.
    trusted = binomtest(100, 100).proportion_ci(method="wilson")
    assert pick(both, checkpoint="step100")["ci_low"] == pytest.approx(trusted.low, abs=1e-4)
    alone = Scores.build(frame.filter(pl.col("value") == 1))
    row = make_table("base_scores", alone, Settings()).row(0, named=True)
    assert row["ci_low"] is row["ci_high"] is None
