"""Snapshots of a made-up training that first gains, then forgets."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from remedy_scores import Model, remedy_scores

from ptft.analysis.settings import Settings
from ptft.analysis.tables.remedies import compared, points_of
from ptft.analysis.tables.snapshots import (
    along_finetuning,
    exchange,
    kept_at,
    slope_of,
)
from ptft.figures.drawing import draw

SEEDS = (0, 1, 2)
SETTINGS = Settings(format="default", shots=0)


def on_the_way(point, own, other):
    return Model([own], [other], derived="step", strength=point, seeds=SEEDS)


@pytest.fixture(scope="module")
def scores():
    """Half of the gain after 10 of 200 updates, all of it after half; then it forgets."""
    models = [
        Model([0.4], [0.6], method=None),
        Model([0.8], [0.3], seeds=SEEDS),
        on_the_way(0.5, 0.8, 0.55),
        on_the_way(10.0, 0.6, 0.6),
    ]
    made = remedy_scores(models, 800, np.random.default_rng(1))
    arms = {"checkpoint": "step0", "method": "full", "train_task": "nli", "setting": None}
    rows = [arms | {"n_updates": 200, "chosen": None} for _ in SEEDS]
    return replace(made, arms=pl.DataFrame(rows, schema_overrides={"setting": pl.String}))


def test_when_it_gains_and_when_it_forgets(scores):
    table = along_finetuning(scores, SETTINGS)
    assert table["point"].to_list() == [10, 0.5, None]
    assert table["update"].to_list() == [10, 100, 200]
    assert table["share"].to_list() == [0.05, 0.5, 1]
    early, half, end = table.iter_rows(named=True)
    assert early["gain"] == pytest.approx(0.2, abs=0.04)
    # The gain is there, and forgetting goes on without it.
    assert early["later_gain_ci_low"] > 0 > half["later_kept_ci_high"]
    assert half["later_gain_ci_low"] < 0 < half["later_gain_ci_high"]
    assert half["later_kept"] == pytest.approx(end["kept"] - half["kept"])
    assert (end["later_gain"], end["later_kept_ci_low"]) == (None, None)
    assert end["kept"] == pytest.approx(-0.5, abs=0.05)  # (.3 - .6) / .6
    assert set(table["n_seeds"]) == {3}


def test_stopping_early_is_a_way_to_keep_more_at_equal_gain(scores):
    found = list(compared(points_of(scores, SETTINGS), SETTINGS))
    assert [one.row["derived"] for one in found] == [None, "step"]
    spared = found[1].spared[0]
    assert spared == pytest.approx(0.5 - 0.05 / 0.6, abs=0.06)  # kept .55 and .3 of .6


def test_the_rate_of_exchange_by_hand():
    """Through (.2, -.1) and (.4, -.3): (.02 + .12) / (.04 + .16) = .7."""
    gain, kept = np.array([[0.2], [0.4]]), np.array([[-0.1], [-0.3]])
    assert slope_of(gain, kept).tolist() == pytest.approx([0.7])
    # Half way to the first point, half way from there to the second, and beyond.
    asked = [kept_at(gain, kept, np.array([least]))[0] for least in (0.1, 0.3, 0.5)]
    assert asked == pytest.approx([-0.05, -0.2, np.nan], nan_ok=True)


def test_a_lower_learning_rate_beside_the_way_of_the_highest():
    """It ends at a gain of .2; there the highest had kept all of .6, and so it should."""
    models = [
        Model([0.4], [0.6], method=None),
        Model([0.8], [0.3], setting="lr0.1", swept="lr", seeds=SEEDS),
        replace(on_the_way(10.0, 0.7, 0.6), setting="lr0.1", swept="lr"),
        Model([0.6], [0.45], setting="lr0.01", swept="lr", seeds=SEEDS),
    ]
    made = remedy_scores(models, 800, np.random.default_rng(1))
    arms = {"checkpoint": "step0", "method": "full", "train_task": "nli", "n_updates": 200}
    rows = [arms | {"setting": f"lr{lr}", "lr": lr, "chosen": None} for lr in (0.1, 0.01)]
    table = exchange(replace(made, arms=pl.DataFrame(rows)), SETTINGS)
    high, low = table.sort("lr", descending=True).iter_rows(named=True)
    assert (high["points"], low["points"], low["against"]) == (2, 1, "lr0.1")
    # (.3 x 0 + .4 x .5) / (.09 + .16)
    assert high["rate"] == pytest.approx(0.8, abs=0.1) and high["rate_ci_low"] > 0.6
    assert high["beside"] is None and low["rate"] is None
    assert low["beside"] == pytest.approx(-0.25, abs=0.05) and low["beside_ci_high"] < 0


def test_the_figure_draws_both_from_the_checkpoint_on(scores):
    table = along_finetuning(scores, SETTINGS)
    [ax] = draw("along_finetuning", {"along_finetuning": table}).axes
    gained, kept, *_ = ax.lines
    assert gained.get_xdata().tolist() == kept.get_xdata().tolist() == [0, 0.05, 0.5, 1]
    assert gained.get_ydata().tolist() == [0, *table["gain"]]
    assert kept.get_ydata().tolist() == [0, *table["kept"]]
    without = along_finetuning(replace(scores, arms=None), SETTINGS)
    assert without["share"].to_list() == [None] * 3 and without["update"].to_list()[0] == 10
