"""The decline from the best checkpoint: exact cases, and how often it is claimed wrongly."""

import numpy as np
import pytest

from ptft.analysis.estimates import SeedPart
from ptft.analysis.trends import decline

RNG = np.random.default_rng(5)


def no_seeds(points):
    return SeedPart(np.zeros(points), np.full(points, np.inf))


def test_a_clear_decline_and_its_limit():
    curve = np.array([0.5, 0.8, 0.6])
    errors = 0.01 * RNG.standard_normal((3, 4000))
    found = decline(curve, curve[:, None] + errors, no_seeds(3), 0.95)
    assert (found.best, found.drop) == (1, pytest.approx(0.2))
    assert found.p == 1 / 4001
    # The largest of 0 and two leads whose errors share the last point's.
    lead = np.maximum(0, errors[:2] - errors[2]).max(axis=0)
    assert found.low == pytest.approx(0.2 - np.quantile(lead, 0.95))


def test_the_last_as_the_best_is_no_decline():
    curve = np.array([0.5, 0.6])
    found = decline(curve, curve[:, None] + np.zeros((2, 10)), no_seeds(2), 0.95)
    assert (found.best, found.drop, found.p) == (1, 0.0, 1.0)


def test_without_errors_nothing_is_claimed():
    found = decline(np.array([0.6, 0.5]), np.full((2, 10), np.nan), no_seeds(2), 0.95)
    assert found.drop == pytest.approx(0.1)
    assert np.isnan([found.p, found.low]).all()
