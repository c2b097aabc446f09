"""Fronts and methods at equal gain, from numbers that are worked out by hand."""

import numpy as np
import pytest

from ptft.analysis.tables.remedies import (
    Path,
    limits_of_best,
    most_kept,
)

# Base, a weak and a strong full model, an adapter that is worse than the weak one.
GAIN = np.array([[0.0], [0.3], [0.5], [0.2]])
KEPT = np.array([[0.0], [-0.4], [-0.8], [-0.5]])


def test_a_path_of_single_models_keeps_what_the_best_that_gains_enough_keeps():
    most = [most_kept(GAIN, KEPT, Path([1, 2]), np.array([gain]))[0] for gain in (0.25, 0.4, 0.6)]
    assert most == pytest.approx([-0.4, -0.8, np.nan], nan_ok=True)


def test_between_linked_models_everything_is_linear():
    path = Path([0, 1, 2], [(0, 1), (1, 2)])
    most = [most_kept(GAIN, KEPT, path, np.array([gain]))[0] for gain in (0.4, 0.15, -1.0)]
    # Half way from (.3, -.4) to (.5, -.8), half way to the first, and the base itself.
    assert most == pytest.approx([-0.6, -0.2, 0.0])


def test_a_mixture_that_gains_more_than_its_ends_is_found_at_the_crossing():
    gain, kept = np.array([[0.0], [0.6], [0.5]]), np.array([[0.0], [-0.1], [-0.9]])
    most = most_kept(gain, kept, Path([0, 1, 2], [(0, 1), (1, 2)]), np.array([0.3]))
    assert most[0] == pytest.approx(-0.05)


def claimed(own, others, draws=400, studies=400):
    """Share of studies in which a method with models truly at ``own`` is said to keep more than one
    with models at ``others``; errors are independent and of one size."""
    rng = np.random.default_rng(3)
    truth = np.concatenate([own, others])
    count = 0
    for _ in range(studies):
        estimate = truth + rng.standard_normal(len(truth))
        drawn = estimate[:, None] + rng.standard_normal((len(truth), draws))
        whole = np.column_stack([estimate, drawn])
        pairs = (whole[: len(own), None] - whole[None, len(own) :]).reshape(-1, 1 + draws)
        low, _, _ = limits_of_best(pairs, draws, 0.95)
        spared = estimate[: len(own)].max() - estimate[len(own) :].max()
        count += spared + low > 0
    return count / studies


def test_the_best_of_many_equal_models_keeps_no_more_than_one():
    # Nominal: 2.5 %; without the correction it is 25 %.
    assert claimed([0.0] * 5, [0.0]) <= 0.045
    assert claimed([0.0], [0.0]) == pytest.approx(0.025, abs=0.02)
    assert claimed([0.0], [0.0] * 5) <= 0.045
    assert claimed([6.0] * 5, [0.0]) >= 0.95  # and what is true is found


def test_one_candidate_has_the_percentiles_of_its_draws():
    draws = np.linspace(-1, 3, 401)
    candidate = np.concatenate([[1.0], draws, [np.nan]])[None]
    low, high, _ = limits_of_best(candidate, 401, 0.95)
    assert (1 + low, 1 + high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])))
    both = np.vstack([candidate, candidate - 5])  # a candidate that errs alike changes nothing
    assert limits_of_best(both, 401, 0.95)[:2] == pytest.approx((low, high))
