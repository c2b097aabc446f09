"""Coverage of what is gained, kept and spared, and declines that are claimed wrongly.

As benchmarks/coverage_remedies.py found them; docs/analysis.md names the same exceptions.
"""

import json

import pytest

pytestmark = pytest.mark.slow

COVERAGE, COVERAGE_LIMIT = 0.95, 0.02
CLAIMED = 0.05
RERUN = 200
SETTING = ("n", "seeds", "spread", "lead")


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


def test_a_decline_is_claimed_wrongly_in_one_of_twenty_studies_at_most(result):
    flat = [row for row in result["declines"] if row["lead"] == 0]
    assert len(flat) == 6
    claims = [
        (share, name, row)
        for row in flat
        for name, share in shares(row).items()
        if name.startswith("claimed")
    ]
    for share, name, row in claims:
        # Each is known to 0.7 points only: three of them.
        assert share <= CLAIMED + 3 * error(CLAIMED, result["draws"]), (name, row)
    assert sum(share for share, _, _ in claims) / len(claims) <= CLAIMED


def test_the_limit_of_a_drop_holds_and_planted_declines_are_found(result):
    for row in result["declines"]:
        for name, share in shares(row).items():
            if name.startswith("held"):
                assert share >= COVERAGE - COVERAGE_LIMIT, (name, row)
            if row["lead"] > 0 and row["n"] == 2000:
                assert share > 0.75, (name, row)


@pytest.mark.parametrize("part", ["remedies", "declines"])
def test_another_seed_gives_the_committed_numbers(result, load_benchmark, part):
    settings, measured = load_benchmark("coverage_remedies").PARTS[part]
    setting = next(one for one in settings() if (one["n"], one["seeds"]) == (120, 1))
    (row,) = [one for one in result[part] if setting.items() <= one.items()]
    for name, share in measured(setting, RERUN, seed=1).items():
        far = 3.5 * (error(row[name], RERUN) ** 2 + error(row[name], result["draws"]) ** 2) ** 0.5
        assert share == pytest.approx(row[name], abs=far), name
