"""Coverage and size as benchmarks/coverage*.py found them: the code of today gives these numbers.

docs/analysis.md, "Measured coverage", says where they miss.
"""

import json

import numpy as np
import pytest
from scipy.stats import binom

from ptft.analysis.statistics import score_interval

pytestmark = pytest.mark.slow

COVERAGE, COVERAGE_LIMIT = 0.95, 0.02
RERUN = 200


@pytest.mark.parametrize("n", [120, 2000])
@pytest.mark.parametrize("score", [0.02, 0.5, 0.99])
def test_wilsons_interval_holds_by_exact_count(n, score):
    right = np.arange(n + 1)
    mean = right / n
    low, high = score_interval(mean, mean * (1 - mean) / n, np.full(n + 1, n))
    held = binom.pmf(right, n, score)[(low <= score) & (score <= high)].sum()
    assert held == pytest.approx(COVERAGE, abs=COVERAGE_LIMIT)


@pytest.mark.parametrize(
    ("name", "part", "setting"),
    [
        (
            "coverage",
            "trends",
            {"null": "examples drift", "checkpoints": 6, "n": 120, "score": 0.5, "sd": 0.0},
        ),
        ("coverage", "intervals", {"n": 120, "score": 0.02, "seeds": 1, "spread": 0.0}),
        ("coverage_remedies", "remedies", {"n": 120, "seeds": 1}),
    ],
)
def test_another_seed_gives_the_committed_numbers(repository, load_benchmark, name, part, setting):
    file = repository / f"benchmarks/results/{name.replace('_', '-')}.json"
    committed = json.loads(file.read_text())
    settings, measured = load_benchmark(name).PARTS[part]
    asked = next(one for one in settings if setting.items() <= one.items())
    (row,) = [one for one in committed[part] if asked.items() <= one.items()]
    for name, share in measured(asked, RERUN, seed=1).items():
        error = (row[name] * (1 - row[name]) * (1 / RERUN + 1 / committed["draws"])) ** 0.5
        assert share == pytest.approx(row[name], abs=3.5 * error), name
