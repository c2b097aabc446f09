"""Formats and datasets as samples of others: by hand, by a t-test, and in made-up studies."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_1samp
from score_tables import cells, pick

from ptft.analysis.estimates import SeedPart
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.analysis.tables.random_effects import between_units, sampled

ONE_SEED = SeedPart(np.zeros(1), np.full(1, np.inf))


def test_variance_between_units_by_hand():
    """Rows are datasets, columns formats: means .2 and .6, and .3 and .5."""
    values = np.array([0.1, 0.3, 0.5, 0.7])
    assert between_units(values, np.array([0, 0, 1, 1])) == pytest.approx(0.04)
    assert between_units(values, np.array([0, 1, 0, 1])) == pytest.approx(0.01)
    assert np.isnan(between_units(values, np.zeros(4)))


def test_datasets_alone_are_a_t_test_of_their_means():
    values = np.array([0.1, 0.25, 0.2, 0.4, 0.05])
    exact = np.repeat(values[:, None], 10, axis=1)
    found = sampled(values, exact, {"datasets": np.arange(5)}, ONE_SEED, 0.95)
    known = ttest_1samp(values, 0).confidence_interval()
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(tuple(known))
    assert found["sd_datasets"] == pytest.approx(values.std(ddof=1))


def test_errors_that_all_share_are_added():
    """A move of all units alike leaves no scatter between them."""
    values, shared = np.array([0.1, 0.3]), np.array([-0.1, 0.1] * 50)
    found = sampled(values, values[:, None] + shared, {"datasets": np.arange(2)}, ONE_SEED, 0.95)
    assert found["stderr"] ** 2 == pytest.approx(0.01 + 0.01)


@pytest.mark.parametrize(("formats", "datasets", "low", "high"), [
    (0.0, 0.0, 0.95, 1.0), (0.1, 0.0, 0.93, 0.99), (0.0, 0.1, 0.93, 0.98), (0.1, 0.1, 0.93, 0.99),
])  # fmt: skip
def test_intervals_hold_the_mean_of_all_formats_and_datasets(formats, datasets, low, high):
    """1,000 studies of 3 formats and 6 datasets, noise .03: a share is known to 0.7 points."""
    rng, held = np.random.default_rng(0), 0
    dataset, form = (index.ravel() for index in np.indices((6, 3)))
    for _ in range(1000):
        true = datasets * rng.standard_normal(6)[dataset] + formats * rng.standard_normal(3)[form]
        values = true + 0.03 * rng.standard_normal(18)
        draws = values[:, None] + 0.03 * rng.standard_normal((18, 200))
        found = sampled(values, draws, {"formats": form, "datasets": dataset}, ONE_SEED, 0.95)
        held += found["ci_low"] <= 0 <= found["ci_high"]
    assert low <= held / 1000 <= high


GAINS = {("nli_in", "default"): 0.4, ("nli_in", "io"): 0.2,
         ("story", "default"): 0.2, ("story", "io"): -0.2}  # fmt: skip


def test_table_beside_the_fixed_effects():
    """Gains .4 and .2 on one set, .2 and -.2 on the other; a set in one format is left out."""
    values = {("base", *key): (0.5, 0.5) for key in GAINS}
    values |= {
        (f"full.{key[0].removesuffix('_in')}.s0", *key): (0.5, 0.5 + gain)
        for key, gain in GAINS.items()
    }
    values |= {("base", "nli_out", "default"): (0.5, 0.5)}
    scores = Scores.build(cells(values, stderr=1e-6))
    assert make_table("random_effects", scores, Settings()).is_empty()

    def gain(**settings):
        table = make_table("random_effects", scores, Settings(**settings))
        return pick(table, quantity="gain", checkpoint="step100")

    both = gain(formats="random", datasets="random")
    assert (both["value"], both["n_formats"], both["n_datasets"]) == (pytest.approx(0.15), 2, 2)
    assert (both["fixed_ci_low"], both["fixed_ci_high"]) == pytest.approx((0.15, 0.15), abs=1e-5)
    # Means of the sets .3 and 0, of the formats .3 and 0.
    assert both["stderr"] == pytest.approx(np.sqrt(2 * 0.15**2), rel=1e-3)
    assert both["sd_datasets"] == both["sd_formats"] == pytest.approx(0.3 / np.sqrt(2), rel=1e-3)
    formats = gain(formats="random")
    assert (formats["ci_low"], formats["ci_high"]) == (-1, 1)  # 12.7 standard errors of .15
    assert formats["sd_datasets"] is None
    own = gain(datasets="random")  # in the format of training: .4 and .2
    assert (own["value"], own["n_formats"]) == (pytest.approx(0.3), 1)
    table = make_table("random_effects", scores, Settings(datasets="random"))
    assert table.filter(pl.col("n_datasets") == 1)["ci_low"].null_count() == len(
        table.filter(pl.col("n_datasets") == 1)
    )
