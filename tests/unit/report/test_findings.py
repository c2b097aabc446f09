"""Records of findings: numbers and verdicts of made-up studies whose truth is known."""

import numpy as np
import polars as pl
import pytest
from remedy_scores import Model, remedy_scores
from score_tables import scores_of

from ptft.analysis.findings import Condition, Finding, findings_table, latent, verdict_of
from ptft.analysis.findings_of_changes import doubts, forgotten, overtraining, spared, texts
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.report.rendering import bar, points, sentence, spark

POINTS = 4
BASE = Model([0.5] * POINTS, [0.8] * POINTS, method=None)
FULL = Model([0.9, 0.9, 0.9, 0.7], [0.4] * POINTS)
LORA = Model([0.9, 0.9, 0.9, 0.8], [0.4, 0.48, 0.56, 0.64], method="lora")
WEAK = Model([0.6] * POINTS, [0.79] * POINTS, method="lora", swept="rank", setting="rank1")
NOISE = [
    Model([0.48, 0.46, 0.44, 0.42], [0.8] * POINTS, method=None, derived="noise", strength=0.01)
]


@pytest.fixture(scope="module")
def remedies():
    scores = remedy_scores([BASE, FULL, LORA, WEAK, *NOISE], 20_000, np.random.default_rng(0))
    names = ("gains", "equal_gain", "remedy_trends", "overtraining", "noise_sensitivity")
    return {name: make_table(name, scores, Settings(gain_margin=0.0)) for name in names}


def of_kind(found, kind):
    return [finding for finding in found if finding.kind == kind]


def test_verdicts_are_three_and_flat_needs_an_equivalence():
    assert verdict_of(0.02, 0.2, 0.1) == "rises"
    assert verdict_of(-0.05, 0.2, 0.1) == "undecided"
    assert verdict_of(-0.05, 0.05, 0.1) == "flat"
    assert verdict_of(0.01, 0.05, 0.1) == "flat"  # above zero, but less than what counts
    assert verdict_of(-0.2, -0.05, 0.1) == "falls"
    assert verdict_of(None, None, 0.1) == "undecided"


@pytest.mark.parametrize(
    ("tuned", "checked", "verdict"),
    [
        ((0.375, 0.550), {"gold_share": 0.55, "prediction_share": 1.0}, "guessing"),
        ((0.10, 0.43), {"gold_share": 0.34}, "starts below chance"),
        ((0.35, 0.80), {"gold_share": 0.34}, "rises"),
    ],
)
def test_no_rise_is_learning_that_guessing_explains(tuned, checked, verdict):
    scores = scores_of((0.35, 0.36), tuned, **checked)
    tables = {name: make_table(name, scores, Settings()) for name in ("latent", "base_scores")}
    headline, *_, row = latent(tables, Settings(), [])
    assert row.verdict == verdict
    assert (headline.count, headline.of) == (int(verdict == "rises"), 1)


def test_the_best_method_those_that_gain_too_little_and_the_trend(remedies):
    found = list(spared(remedies, Settings()))
    best = found[0]
    assert best.kind == "spared" and best.verdict == "keeps more" and best.about["method"] == "lora"
    # Rank 1 loses an 80th, full fine-tuning half.
    assert best.about["setting"] == "rank" and 0.4 < best.value < 0.55 and best.low > 0
    [weak] = of_kind(found, "too_weak")
    assert weak.about["setting"] == "rank"
    assert sentence(weak) == "LoRA, rank never gains 95 % of what full fine-tuning gains on nli."
    assert any(trend.value > 0.05 for trend in of_kind(found, "remedy_trend"))
    assert len(of_kind(found, "remedy")) == 2


def test_without_a_shown_gain_no_remedy_is_praised(remedies):
    nothing = remedies["gains"].with_columns(ci_low=pl.lit(-0.1))
    headline, idle, *rest = spared(remedies | {"gains": nothing}, Settings())
    assert (headline.verdict, headline.count, headline.of) == ("no gain", 0, 0)
    assert idle.kind == "no_gain" and idle.about["tasks"] == ["nli"]
    assert not of_kind(rest, "too_weak")
    assert sentence(headline).startswith("No task has a gain that is shown")


def test_a_method_that_is_sure_comes_before_a_larger_one_that_is_not(remedies):
    """Two tasks: what is spared more on the second one may be nothing."""
    table = remedies["equal_gain"]
    unsure = table.with_columns(
        pl.lit("other").alias("train_task"),
        *(pl.col(name) + 0.3 for name in ("spared", "spared_ci_high")),
        pl.lit(-0.1).alias("spared_ci_low"),
    )
    other = remedies["gains"].with_columns(train_task=pl.lit("other"))
    gains = pl.concat([remedies["gains"], other])
    both = {"equal_gain": pl.concat([table, unsure], how="diagonal_relaxed"), "gains": gains}
    assert next(spared(both, Settings())).about["task"] == "nli"
    alone = {"equal_gain": unsure, "gains": other}
    assert next(spared(alone, Settings())).verdict == "not shown"


def test_a_decline_what_noise_costs_and_that_a_base_of_nothing_is_told(remedies):
    found = list(overtraining(remedies, Settings()))
    headline = found[0]
    assert (headline.count, headline.verdict) == (2, "falls")
    assert headline.value == pytest.approx(0.2, abs=0.02)
    assert headline.about["since"] in ("step0", "step1", "step2")
    noise = next(row for row in of_kind(found, "noise") if row.about["dataset"] == "own_set")
    assert noise.more["first"] == pytest.approx(-2, abs=0.4)
    nothing = remedies["gains"].with_columns(base=pl.lit(0.0))
    told = next(overtraining(remedies | {"gains": nothing}, Settings()))
    assert told.more["base_at_zero"] and "scores nothing there" in sentence(told)
    assert "scores nothing there" not in sentence(headline)


def test_the_learning_rate_of_pretraining_is_named_as_what_else_may_be_the_reason(remedies):
    def confounded(best, last):
        told = remedies["overtraining"].with_columns(
            best_pretraining_lr=pl.lit(best), last_pretraining_lr=pl.lit(last)
        )
        return of_kind(overtraining(remedies | {"overtraining": told}, Settings()), "confounded")[0]

    falling = confounded(4e-4, 4e-5)
    assert falling.verdict == "differs" and "step3 4.0e-05): its effect" in sentence(falling)
    assert confounded(4e-4, 4e-4).verdict == "same"


def test_nothing_is_said_of_nothing(remedies):
    empty = {name: table.clear() for name, table in remedies.items()}
    assert [*spared(empty, Settings())] == [*overtraining(empty, Settings())] == []
    assert [*spared({}, Settings())] == [*texts({})] == [*forgotten({}, Settings())] == []


def test_generic_text_counts_where_no_task_is_forgotten(tables):
    means = tables["forgetting"].with_columns(headroom_ci_high=pl.lit(0.1))
    headline = next(forgotten(tables | {"forgetting": means}, Settings()))
    assert headline.kind == "forgotten_text" and headline.low > 0
    assert "generic text becomes harder" in sentence(headline)
    lost = next(forgotten(tables, Settings()))
    assert lost.kind == "forgotten" and lost.verdict == "falls" and lost.high < 0
    worst, *rows = texts(tables)
    assert (worst.verdict, worst.count, worst.of) == ("rises", 2, 2)
    base, *tuned = rows
    assert "task" not in base.about and base.value < -1 and [row.about["task"] for row in tuned]


def test_warnings_are_counted_of_how_many():
    cells = pl.DataFrame(
        {
            "checkpoint": ["a", "a", "b", "b"],
            **dict.fromkeys(
                ["method", "train_task", "setting"], pl.Series([None] * 4, dtype=pl.String)
            ),
            "dataset": ["quiz", "news", "quiz", "nli"],
            "kind": ["multiple_choice", "text", "multiple_choice", "classification"],
            "format": ["io"] * 4,
            "shots": [0] * 4,
            "main": [True] * 4,
        }
    )
    flagged = cells.filter(dataset="quiz").with_columns(
        index=pl.Series([0, 1]), meaning=pl.lit("m"), flag=pl.lit("constant answer")
    )
    twice = pl.concat([flagged, flagged.head(1).with_columns(flag=pl.lit("a new kind"))])
    whole, *warnings = doubts({"cells": cells, "suspicious": twice})
    assert (whole.count, whole.of) == (2, 3)
    assert [(w.verdict, w.count, w.of) for w in warnings] == [
        ("constant answer", 2, 3),
        ("a new kind", 1, 3),
    ]
    assert sentence(warnings[1]) == "m" and warnings[0].more["base"] == 2


def test_conditions_name_shots_that_were_cut():
    scores = pl.DataFrame(
        {"dataset": ["a", "b"], "format": "default", "shots": [2, 4], "truncated": [1.0, 0.25]}
    )
    assert Condition.of(scores, ["a"]) == Condition(("default",), ((2, 1.0),))
    assert Condition.of(scores).shots == ((2, 1.0), (4, 0.25))
    assert Condition.of(None) == Condition((), ())


def test_a_finding_is_a_row_with_its_objects_and_sentence():
    about = {"dataset": "quiz", "seeds": 3, "domain": "in"}
    condition = Condition(("io",), ((0, None), (4, 0.5)))
    found = Finding(
        "taught", "taught", 0.4, 0.3, 0.5, about=about, condition=condition, count=1, of=2
    )
    row = findings_table([found], ["It rises."]).row(0, named=True)
    expected = {
        "dataset": "quiz", "seeds": "3", "formats": "io", "shots": "0 4", "value": 0.4,
        "ci_low": 0.3, "ci_high": 0.5, "count": 1, "of": 2, "sentence": "It rises.", "method": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert found.sure and not Finding("q", "k", 0.4, -0.1, 0.5).sure
    assert not Finding("q", "k", 0.4).sure


def test_numbers_have_the_digits_that_their_interval_allows():
    assert points(0.3567, 0.29, 0.42, True) == "+36"
    assert points(0.35678, 0.351, 0.362) == "35.7"
    assert points(-0.35678, -0.3569, -0.3565) == "−35.68"
    assert points(-0.0004, -0.02, 0.02, True) == "0" and points(None) == "–"
    assert points(0.5) == "50" and points(0.0123) == "1.2"


def test_small_drawings_are_places():
    assert bar(0.5, 0.25, 1.5, -1, 1, (0.0, None)) == {
        "at": 75.0, "low": 62.5, "high": 100.0, "zero": 50.0, "marks": [50.0],
    }  # fmt: skip
    assert bar(None, None, None, 0, 1) is None
    line = spark((("a", 0.0), ("b", None), ("c", 1.0)))
    assert line["line"] == [(3.0, 27.0), (97.0, 3.0)] and line["text"] == "a 0.00, b –, c 1.00"
    assert spark((("a", 1.0),)) is None
