"""What the front page says of swept settings."""

import polars as pl
import pytest

from ptft.analysis.tuned_models import CHOSEN, shown
from ptft.report.conditions import arm_said
from ptft.report.sweep_findings import sweep_findings


def models(chosen, at_edge=(False, False)):
    """Two settings at one checkpoint, beside a method that is not swept."""
    return pl.DataFrame(
        {
            "checkpoint": ["main"] * 3,
            "method": ["full", "full", "lora"],
            "train_task": ["nli"] * 3,
            "setting": ["lr1e-05", "lr1e-06", None],
            "chosen": [*chosen, None],
            "at_edge": [*at_edge, None],
        },
        schema_overrides={"chosen": pl.Boolean, "at_edge": pl.Boolean},
    )


def test_settings_are_named_and_which_is_told_of():
    [said] = sweep_findings(models([False, True]), str)
    assert said == (
        "``full`` is swept over 2 settings (``lr1e-05``, ``lr1e-06``): statements below are "
        "about the setting that validation chooses at each checkpoint and task; the tables have "
        "each of them."
    )
    [said] = sweep_findings(models([None, None], [None, None]), str)
    assert "about ``lr1e-05``, the first, because some settings have no validation loss" in said


def test_of_several_sweeps_the_settings_as_they_are_count_as_one():
    arms = models([None, None], [None, None]).filter(method="full")
    arms = arms.with_columns(setting=pl.Series([None, "share0.1"], dtype=pl.String))
    [said] = sweep_findings(arms, str)
    assert "2 settings (``as it is``, ``share0.1``): statements below are about" in said
    assert "about ``as it is``, the first" in said


def test_choices_at_the_edge_are_named():
    _, said = sweep_findings(models([False, True], [False, True]), str)
    assert said == (
        "1 of 1 choices are at an edge of the sweep, so a better setting may exist beyond it: full "
        "``nli`` main (lr1e-06)."
    )


def test_without_a_sweep_nothing_is_said():
    assert sweep_findings(models([False, True]).filter(method="lora"), str) == []


@pytest.mark.parametrize(("chosen", "kept"), [([False, True], CHOSEN), ([None, None], "lr1e-05")])
def test_one_setting_of_a_method_is_shown_and_base_models(chosen, kept):
    table = pl.DataFrame(
        {
            "method": ["full", "full", "full", "lora", None, "full"],
            "setting": ["lr1e-05", "lr1e-06", CHOSEN, None, None, CHOSEN],
            "derived": [None] * 5 + ["noise"],
        },
        schema_overrides={"derived": pl.String},
    )
    found = shown(table, models(chosen))
    assert found.select("method", "setting").rows() == [
        ("full", kept),
        ("lora", None),
        (None, None),
    ]
    assert len(shown(table, None)) == 5  # released scores: no models to choose from


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "full, one seed"),
        ({"setting": "lr1e-05"}, "full, lr1e-05, one seed"),
        ({"setting": CHOSEN}, "full, chosen by validation, one seed"),
        ({"derived": "interpolate", "strength": 0.75}, "full, interpolate 0.75, one seed"),
    ],
)
def test_an_arm_is_named_with_its_setting_and_derivation(row, said):
    assert arm_said({"method": "full", "n_seeds": 1, **row}, str) == said
