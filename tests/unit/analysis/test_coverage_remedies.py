"""Coverage of what is gained, kept and spared.

As benchmarks/coverage_remedies.py found them; docs/analysis.md names the same exceptions.
"""

import json

import pytest

pytestmark = pytest.mark.slow

COVERAGE, COVERAGE_LIMIT = 0.95, 0.02
RERUN = 200
SETTING = ("n", "seeds", "spread")


@pytest.fixture(scope="module")
def result(repository):
    return json.loads((repository / "benchmarks/results/coverage-remedies.json").read_text())


def shares(row):
    return {name: share for name, share in row.items() if name not in SETTING}


def error(share, draws):
    return (share * (1 - share) / draws) ** 0.5


def test_intervals_of_gain_kept_and_spared_hold_the_truth(result):
    assert len(result["remedies"]) == 8 and result["draws"] >= 500
    told = {name.split(",")[0] for row in result["remedies"] for name in shares(row)}
    assert told == {"gain", "kept", "spared"}
    for row in result["remedies"]:
        for name, share in shares(row).items():
            assert share >= COVERAGE - COVERAGE_LIMIT, (name, row)
            # Too wide where it allows for seeds: the exception that docs/analysis.md names.
            assert row["seeds"] > 1 or share <= COVERAGE + COVERAGE_LIMIT, (name, row)


def test_another_seed_gives_the_committed_numbers(result, load_benchmark):
    settings, measured = load_benchmark("coverage_remedies").PARTS["remedies"]
    setting = next(one for one in settings if (one["n"], one["seeds"]) == (120, 1))
    (row,) = [one for one in result["remedies"] if setting.items() <= one.items()]
    for name, share in measured(setting, RERUN, seed=1).items():
        far = 3.5 * (error(row[name], RERUN) ** 2 + error(row[name], result["draws"]) ** 2) ** 0.5
        assert share == pytest.approx(row[name], abs=far), name
