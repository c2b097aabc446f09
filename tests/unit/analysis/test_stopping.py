"""Where a curve could have stopped, by its scores; the claim that it holds is in test_claims."""

import polars as pl
import pytest
from score_tables import cells, pick

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.analysis.tables.stopping import as_good_from_here

MARGIN = 0.03
CURVES = {
    "saturating": [0.40, 0.60, 0.72, 0.78, 0.80, 0.80, 0.80],
    "rising": [0.35, 0.45, 0.55, 0.62, 0.68, 0.74, 0.80],
    "flat": [0.50] * 7,
    "noisy": [0.40, 0.66, 0.60, 0.71, 0.64, 0.72, 0.70],
    # Every early point lies just outside the margin: the hardest case for a false claim.
    "just outside": [0.765] * 6 + [0.80],
}
# Earliest point from which on the true curve stays within the margin of its end.
TRUTH = {"saturating": 3, "rising": 6, "flat": 0, "noisy": 5, "just outside": 6}


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_could_have_stopped_where_all_that_comes_is_as_good(name):
    curve = pl.DataFrame({"value": CURVES[name]})
    assert curve.select(as_good_from_here(MARGIN))["value"].arg_true()[0] == TRUTH[name]


def test_table():
    values = {
        ("base", "nli_in", "default"): (0.33, 0.33),
        ("full.nli.s0", "nli_in", "default"): (0.79, 0.80),
    }
    scores = Scores.build(cells(values, stderr=0.002))
    table = make_table("stopping", scores, Settings())
    row = pick(table, train_task="nli", dataset="nli_in")
    assert (row["stop_checkpoint"], row["stop_index"], row["stop_score"]) == ("step10", 0, 0.79)
    # 10,000 of 100,000 tokens: 90 % saved.
    assert row["stop_share_saved"] == pytest.approx(0.9)
    assert row["last_score"] == 0.8 and not row["too_low"]
