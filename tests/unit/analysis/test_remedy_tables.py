"""Tables `tradeoff` and `equal_gain` of made-up studies whose answers are known."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from remedy_scores import Model, remedy_scores
from score_tables import pick

from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table

BASE = Model([0.5], [0.8], method=None)
FULL = Model([0.9], [0.4])  # gains .4, keeps half
LORA = Model([0.8], [0.6], method="lora")  # gains .3, loses a quarter
POOR = Model([0.7], [0.5], method="lora", swept="rank", setting="rank1")  # beaten by LORA
HALF = Model([0.85], [0.7], derived="interpolate", strength=0.5)  # gains .35, loses an eighth


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    return remedy_scores([BASE, FULL, LORA, POOR, HALF], 20_000, rng)


def test_what_is_gained_and_kept_with_intervals_and_the_front(scores):
    table = make_table("tradeoff", scores, Settings())
    full = pick(table, method="full", derived=None)
    assert full["gain"] == pytest.approx(0.4, abs=0.015)
    assert full["kept"] == pytest.approx(-0.5, abs=0.015)
    assert full["gain_ci_low"] < full["gain"] < full["gain_ci_high"]
    assert full["gain_ci_high"] - full["gain_ci_low"] < 0.03
    front = {(row["method"], row["setting"], row["derived"]): row for row in table.to_dicts()}
    assert front["full", None, None]["front"]
    assert front["full", None, "interpolate"]["front"]
    for beaten in (front["lora", None, None], front["lora", "rank1", None]):
        assert not beaten["front"]


def test_at_equal_gain_interpolation_spares_what_is_between_its_points(scores):
    table = make_table("equal_gain", scores, Settings(gain_margin=0.0))
    # The worst method's best is that of rank 1: a gain of .2.
    enough = pick(table, method="full", derived=None)["enough"]
    assert enough == pytest.approx(0.2, abs=0.015)
    # .2 of the way's .35 to the half-way model, which loses an eighth.
    mixed = pick(table, method="full", derived="interpolate")
    assert mixed["kept"] == pytest.approx(-0.125 * 0.2 / 0.35, abs=0.015)
    assert mixed["spared"] == pytest.approx(0.5 - 0.125 * 0.2 / 0.35, abs=0.02)
    assert mixed["spared_ci_low"] < mixed["spared"] < mixed["spared_ci_high"]
    assert pick(table, method="lora", swept=None)["spared"] == pytest.approx(0.25, abs=0.03)
    assert pick(table, method="full", derived=None)["spared"] == 0.0


def test_learning_rates_are_no_methods_of_their_own():
    slow = Model([0.8], [0.6], swept="lr", setting="lr1e-05")
    fast = Model([0.9], [0.4], swept="lr", setting="lr0.001")
    lora = Model([0.8], [0.6], method="lora")
    scores = remedy_scores([BASE, slow, fast, lora], 20_000, np.random.default_rng(1))
    table = make_table("equal_gain", scores, Settings(gain_margin=0.05))
    assert len(table) == 2
    full = pick(table, method="full")
    assert full["kept"] == pytest.approx(-0.25, abs=0.02)  # the slow one is good enough


def test_without_full_fine_tuning_nothing_is_compared():
    scores = remedy_scores([BASE, LORA], 200, np.random.default_rng(2))
    assert make_table("equal_gain", scores, Settings()).is_empty()
    assert len(make_table("tradeoff", scores, Settings())) == 1


def test_sensitivity_is_the_slope_through_the_origin():
    weak = Model([0.48], [0.76], method=None, derived="noise", strength=0.01)
    strong = Model([0.44], [0.72], method=None, derived="noise", strength=0.02)
    scores = remedy_scores([BASE, weak, strong], 50_000, np.random.default_rng(3))
    table = make_table("noise_sensitivity", scores, Settings())
    own, other = (pick(table, dataset=name) for name in ("own_set", "other_set"))
    # (.01 x -.02 + .02 x -.06) / (.01^2 + .02^2) and (.01 x -.04 + .02 x -.08) / the same
    assert own["sensitivity"] == pytest.approx(-2.8, abs=0.35)
    assert other["sensitivity"] == pytest.approx(-4.0, abs=0.35)
    assert own["ci_low"] < own["sensitivity"] < own["ci_high"] < 0
    assert (own["strengths"], own["largest_change"]) == (
        "0.01 0.02",
        pytest.approx(-0.06, abs=0.008),
    )


def test_the_trend_of_what_is_spared():
    points = 5
    base = Model([0.5] * points, [0.8] * points, method=None)
    full = Model([0.9] * points, [0.4] * points)
    # Keeps .05 more at each checkpoint: the bounded change rises by .0625.
    lora = Model([0.9] * points, [0.4 + 0.05 * at for at in range(points)], method="lora")
    scores = remedy_scores([base, full, lora], 20_000, np.random.default_rng(4))
    table = make_table("remedy_trends", scores, Settings(gain_margin=0.05))
    assert table["method"].to_list() == ["lora"]  # nothing of the reference itself
    row = table.row(0, named=True)
    assert row["slope"] == pytest.approx(0.0625, abs=0.01)
    assert row["slope_ci_low"] < row["slope"] < row["slope_ci_high"]
    assert row["slope_p"] < 0.01
    assert row["spared_last"] - row["spared_first"] == pytest.approx(0.25, abs=0.03)


def test_a_decline_from_the_best_checkpoint_at_a_fixed_setting():
    base = Model([0.5] * 4, [0.8] * 4, method=None)
    fixed = Model([0.6, 0.9, 0.8, 0.7], [0.7, 0.7, 0.6, 0.3], swept="lr", setting="lr0.001")
    chosen = Model([0.6, 0.9, 0.9, 0.9], [0.7, 0.7, 0.7, 0.7], setting="(chosen)")
    scores = remedy_scores([base, fixed, chosen], 2000, np.random.default_rng(5))
    table = make_table("overtraining", scores, Settings())
    worse, same = (pick(table, setting=name) for name in ("lr0.001", "(chosen)"))
    assert (worse["best_checkpoint"], worse["last_checkpoint"]) == ("step1", "step3")
    assert worse["drop"] == pytest.approx(0.2, abs=0.03)
    assert (worse["best_pretraining_lr"], worse["last_pretraining_lr"]) == (None, None)
    rates = {
        "checkpoint": [f"step{at}" for at in range(4)],
        "pretraining_lr": [4e-4, 4e-4, 2e-4, 4e-5],
    }
    told = dataclasses.replace(scores, arms=pl.DataFrame(rates))
    row = pick(make_table("overtraining", told, Settings()), setting="lr0.001")
    assert (row["best_pretraining_lr"], row["last_pretraining_lr"]) == (4e-4, 4e-5)
    assert (worse["fixed"], same["fixed"]) == (True, False) and same["drop"] < 0.03
