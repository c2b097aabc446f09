"""Draws that are made when asked for: the same as if all were made at once."""

import numpy as np
import polars as pl
import pytest

from ptft.analysis import draws as module
from ptft.analysis.cell_scores import Replicates, packed
from ptft.analysis.draws import Derived, Draws, Made, SeedMeans, portions
from ptft.analysis.statistics import confidence_draws, over_seeds, unseen_agreement

GROUPS, RESAMPLES, SEEDS, EXAMPLES = 600, 40, 3, 50.0


@pytest.fixture(scope="module")
def means(tmp_path_factory):
    """600 groups, more than two blocks: every second one has three seeds, two groups a run."""
    file = tmp_path_factory.mktemp("draws") / "r.parquet"
    rng = np.random.default_rng(1)
    sizes = [1 + 2 * (group % 2) for group in range(GROUPS)]
    numbers = rng.binomial(50, 0.7, (sum(sizes), RESAMPLES)) / EXAMPLES
    # Rows of other metrics stand between those of the cells.
    packs = [pack for row in numbers for pack in (b"", packed(row))]
    pl.DataFrame({"replicates": packs}).write_parquet(file, row_group_size=100)
    table = pl.scan_parquet(file)
    rows = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    groups = pl.DataFrame(
        {
            "run": [group // 4 for group in range(GROUPS)],
            "rows": [own.tolist() for own in rows],
            "places": [list(range(size)) for size in sizes],
            "values": [numbers[own].mean(axis=1).tolist() for own in rows],
        }
    )
    drawn = Replicates(table, 2 * np.arange(len(numbers)) + 1)
    return SeedMeans(drawn, groups, np.full(GROUPS, 0.004), SEEDS, seed=7)


@pytest.fixture(scope="module")
def draws(means):
    value = means.groups["values"].list.mean().to_numpy()
    seeds = means.groups["values"].list.len().to_numpy()
    return Draws.of(Made(means, value, np.full(GROUPS, EXAMPLES), seeds, 7, bounded=True))


@pytest.fixture(scope="module")
def at_once(means, draws):
    """All draws by ``confidence_draws``, group after group."""
    replicates = np.empty((GROUPS, RESAMPLES), np.float32)
    variance = means.single.copy()
    for row, (run, rows, places, values) in enumerate(means.groups.iter_rows()):
        own = means.drawn[np.array(rows)]
        replicates[row] = own[0]
        if len(rows) > 1:
            normals = np.random.default_rng((7, run)).standard_normal((SEEDS, RESAMPLES))
            replicates[row], variance[row] = over_seeds(np.array(values), own, normals[places])
    n, seeds = np.full(GROUPS, EXAMPLES), draws.made.n_seeds
    assert means.variance() == pytest.approx(variance, abs=0)
    variance = variance + unseen_agreement(draws.made.mean, n, seeds)
    noise = np.random.default_rng(7).standard_normal(replicates.shape, dtype=np.float32)
    return confidence_draws(draws.made.mean, variance, n, replicates, noise)


@pytest.mark.parametrize("order", [[599, 3, 256], [0, 1], [255, 512, 255]])
def test_any_row_is_what_it_would_be_among_all(draws, at_once, order):
    assert draws.shape == (GROUPS, RESAMPLES)
    assert np.array_equal(draws[order], at_once[order])
    assert np.array_equal(draws[order[0]], at_once[order[0]])
    assert np.array_equal(np.asarray(draws), at_once)


def test_a_row_may_be_there_twice(draws, at_once):
    more = draws.again(np.array([10, 20]))
    assert len(more) == GROUPS + 2
    assert np.array_equal(more[[GROUPS, GROUPS + 1]], at_once[[10, 20]])


def test_portions_are_all_rows(monkeypatch, draws, at_once):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 70)
    twice = Derived(draws.shape, lambda rows: 2 * draws[rows])
    found = [part for part in portions(twice)]
    assert [len(part) for part in found] == [70] * 8 + [40]
    assert np.array_equal(np.concatenate(found), 2 * at_once)
