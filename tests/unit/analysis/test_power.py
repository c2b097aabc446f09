"""The smallest difference that would have been seen: found in about 80 % of the draws."""

import numpy as np
import pytest

from ptft.analysis.estimates import Changes, Estimates, SeedPart
from ptft.analysis.statistics import smallest_detectable
from ptft.analysis.trends import line_trend

DRAWS = 1000
# A share of 0.8 of so many draws has a standard error of 1.3 points: three of them.
NEAR = 0.04


def test_it_is_two_point_eight_standard_errors_and_more_with_few_seeds():
    assert smallest_detectable(0.1) == pytest.approx(0.2802, abs=1e-4)
    assert smallest_detectable(0.1, level=0.9) == pytest.approx(0.2486, abs=1e-4)
    few = Estimates(np.zeros(1), 0.1 * np.random.default_rng(0).standard_normal((1, 9000)),
                    SeedPart(np.array([0.01]), np.array([2.0])))  # fmt: skip
    # All of the variance is between three seeds: Student's 4.30 for the 1.96.
    assert few.detectable() == pytest.approx(0.1 * (4.303 + 0.842), rel=0.03)


@pytest.mark.parametrize("n", [120, 1000])
def test_a_planted_gain_of_that_size_is_found_in_four_of_five_studies(load_benchmark, n):
    """Of one model of answers right or wrong, through bootstrap, draws and intervals."""
    made, rng = load_benchmark("coverage"), np.random.default_rng(n)

    def gains(gain):
        means = np.column_stack([np.full(DRAWS, 0.5), np.full(DRAWS, 0.5 + gain)])
        scores = made.made_up_scores({"own": made.answers(rng, means, n)}, seed=1)
        found = Changes.of(scores, scores.pairs()).estimates
        return found.detectable(), found.interval()[1]

    planted = gains(0.0)[0].mean()
    for _ in range(2):  # what can be seen depends a little on what there is
        detectable, low = gains(planted)
        if abs(detectable.mean() - planted) < 0.001:
            break
        planted = detectable.mean()
    assert planted == pytest.approx(detectable.mean(), abs=0.001)
    assert (low > 0).mean() == pytest.approx(0.8, abs=NEAR)


def test_a_planted_slope_of_that_size_is_found():
    rng, points = np.random.default_rng(0), np.arange(12)
    scatter = 0.02 * rng.standard_normal((DRAWS, len(points)))
    # The error of a slope is known here: sigma over the root of the sum of squares.
    slope = smallest_detectable(0.02 / np.sqrt(((points - 5.5) ** 2).sum()), 0.95, 1.0, 10)
    found = [line_trend(points, slope * points + noise) for noise in scatter]
    assert np.mean([one.detectable for one in found]) == pytest.approx(slope, rel=0.05)
    assert np.mean([one.p <= 0.05 for one in found]) == pytest.approx(0.8, abs=NEAR)
