"""Draws of scores: groups of several seeds, and blocks that change nothing."""

import numpy as np
import polars as pl

from ptft.analysis import draws as module
from ptft.analysis.cell_scores import packed, replicates_at
from ptft.analysis.draws import make_draws, seed_means
from ptft.analysis.statistics import over_seeds

GROUPS, RESAMPLES, SEEDS, EXAMPLES = 600, 40, 3, 50.0
RNG = np.random.default_rng(1)
SIZES = np.array([1 + 2 * (group % 2) for group in range(GROUPS)])
NUMBERS = (RNG.binomial(50, 0.7, (SIZES.sum(), RESAMPLES)) / EXAMPLES).astype(np.float32)
ROWS = np.split(np.arange(SIZES.sum()), np.cumsum(SIZES)[:-1])
VALUES = [NUMBERS[own].mean(axis=1) for own in ROWS]


def made():
    """Means and draws of 600 groups: every second one has three seeds, two groups share a run."""
    groups = pl.DataFrame(
        {
            "run": [group // 4 for group in range(GROUPS)],
            "rows": [own.tolist() for own in ROWS],
            "places": [list(range(size)) for size in SIZES],
            "values": [own.tolist() for own in VALUES],
        }
    )
    single = np.full(GROUPS, 0.004)
    means, variance = seed_means(NUMBERS.__getitem__, groups, single, SEEDS, seed=7)
    value = np.array([own.mean() for own in VALUES])
    n = np.full(GROUPS, EXAMPLES)
    return means, variance, make_draws(means, variance, value, n, SIZES, 7, bounded=True)


def test_seeds_of_one_run_share_their_luck():
    means, variance, _ = made()
    assert np.array_equal(means[6], NUMBERS[ROWS[6][0]]) and variance[6] == 0.004
    for group in (5, 7):  # of run 1
        luck = np.random.default_rng((7, 1)).standard_normal((SEEDS, RESAMPLES))
        mean, its_variance = over_seeds(VALUES[group].astype(float), NUMBERS[ROWS[group]], luck)
        assert np.array_equal(means[group], mean.astype(np.float32))
        assert variance[group] == its_variance


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    _, _, draws = made()
    monkeypatch.setattr(module, "AT_ONCE", 70)
    assert np.array_equal(made()[2], draws)
    assert draws.shape == (GROUPS, RESAMPLES) and 0 <= draws.min() < draws.max() <= 1


def test_replicates_are_those_of_the_rows_asked_for(tmp_path):
    # Rows of other metrics stand between those of the cells.
    packs = [pack for row in NUMBERS for pack in (b"", packed(row))]
    pl.DataFrame({"replicates": packs}).write_parquet(tmp_path / "r.parquet", row_group_size=100)
    table = pl.scan_parquet(tmp_path / "r.parquet")
    for rows in ([599, 3, 256], [0], [255, 512, 255]):
        assert np.array_equal(replicates_at(table, 2 * np.array(rows) + 1), NUMBERS[rows])
