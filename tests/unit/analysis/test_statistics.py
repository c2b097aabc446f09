"""Statistics against textbook values and scipy's own bootstrap."""

import numpy as np
import pytest
from scipy import stats

from ptft.analysis.statistics import (
    adjust_p_values,
    bootstrap_means,
    normal_replicates,
    percentile_interval,
)


def test_bootstrap_agrees_with_scipy():
    scores = np.random.default_rng(0).gamma(2, 0.1, 300)
    trusted = stats.bootstrap(
        (scores,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(1)
    )
    stderr, low, high = percentile_interval(bootstrap_means(scores[:, None], 5000, 2).T)
    assert stderr[0] == pytest.approx(trusted.standard_error, rel=0.05)
    assert low[0] == pytest.approx(trusted.confidence_interval.low, abs=0.1 * stderr[0])
    assert high[0] == pytest.approx(trusted.confidence_interval.high, abs=0.1 * stderr[0])


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        bootstrap_means(np.array([[0.1], [np.nan]]), 10, 0)
    with pytest.raises(ValueError, match="at least one example"):
        bootstrap_means(np.empty((0, 1)), 10, 0)


def test_unknown_error_gives_no_interval():
    drawn = normal_replicates(np.array([0.5, 0.5]), np.array([0.1, np.nan]), 4000, seed=0)
    stderr, low, high = percentile_interval(drawn)
    assert stderr[0] == pytest.approx(0.1, rel=0.05)
    assert low[0] == pytest.approx(0.5 - 1.96 * 0.1, abs=0.01)
    assert np.isnan([stderr[1], low[1], high[1]]).all()


def test_benjamini_hochberg_by_hand():
    # p * m / rank from the largest down: 0.04*4/4, 0.03*4/3, 0.02*4/2, 0.01*4/1 -> all 0.04.
    np.testing.assert_allclose(adjust_p_values(np.array([0.01, 0.02, 0.03, 0.04])), 0.04)
    assert adjust_p_values(np.empty(0)).size == 0
    # What was not tested counts for nothing.
    np.testing.assert_allclose(
        adjust_p_values(np.array([0.01, np.nan, 0.04])), [0.02, np.nan, 0.04]
    )
