"""Sentences on remedies and on over-training, of made-up studies whose answers are known."""

import numpy as np
import polars as pl
import pytest
from remedy_scores import Model, remedy_scores

from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.language.words import Words
from ptft.report.answers import _spared as answer_on_remedies
from ptft.report.remedy_findings import overtraining_findings, remedy_findings, remedy_table

WORDS = Words(titles={"tasks": {"nli": "NLI"}})
POINTS = 4
BASE = Model([0.5] * POINTS, [0.8] * POINTS, method=None)
FULL = Model([0.9, 0.9, 0.9, 0.7], [0.4] * POINTS)
LORA = Model([0.9, 0.9, 0.9, 0.8], [0.4, 0.48, 0.56, 0.64], method="lora")
WEAK = Model([0.6] * POINTS, [0.79] * POINTS, method="lora", swept="rank", setting="rank1")
NOISE = [
    Model([0.48, 0.46, 0.44, 0.42], [0.8] * POINTS, method=None, derived="noise", strength=0.01)
]


@pytest.fixture(scope="module")
def tables():
    scores = remedy_scores([BASE, FULL, LORA, WEAK, *NOISE], 20_000, np.random.default_rng(0))
    names = ("equal_gain", "remedy_trends", "overtraining", "noise_sensitivity")
    return {name: make_table(name, scores, Settings(gain_margin=0.0)) for name in names}


def test_the_best_method_those_that_gain_too_little_and_the_trend(tables):
    best, weak, trend = (
        sentence.replace("\\", "")
        for sentence in remedy_findings(
            tables["equal_gain"], tables["remedy_trends"], Settings(), WORDS
        )
    )
    assert best.startswith("On NLI at step3, at a gain of 0.09")
    # Rank 1 loses an 80th, full fine-tuning half.
    assert "lora, rank keeps most on other families: +0.4" in best and "(one seed)" in best
    assert weak == "lora, rank never gains 95 % of what full fine-tuning gains on NLI."
    assert trend.startswith("What remedies spare changes along pre-training: lora on NLI by 0.1")


def test_the_table_has_a_row_a_method_at_the_last_checkpoint(tables):
    table = remedy_table(tables["equal_gain"], WORDS)
    rows = [line.strip() for line in table.splitlines() if line.strip().startswith("NLI")]
    assert [row.split(", ")[1].strip('"\\') for row in rows] == ["lora", "lora"]
    assert remedy_table(tables["equal_gain"].clear(), WORDS) == ""


def test_the_box_names_a_method_that_is_sure_before_a_larger_one_that_is_not(tables):
    """Two tasks: what is spared more on the second one may be nothing."""
    table = tables["equal_gain"]
    shifted = ("spared", "spared_ci_high")
    unsure = table.with_columns(
        pl.lit("other").alias("train_task"),
        *(pl.col(name) + 0.3 for name in shifted),
        pl.lit(-0.1).alias("spared_ci_low"),
    )
    both = {"equal_gain": pl.concat([table, unsure], how="diagonal_relaxed")}
    assert "on NLI, lora" in answer_on_remedies(both, Settings(), WORDS)
    alone = {"equal_gain": unsure}
    assert "No method keeps significantly more" in answer_on_remedies(alone, Settings(), WORDS)


def test_a_decline_and_what_noise_costs(tables):
    score, kept, corrected, noise = overtraining_findings(
        tables["overtraining"], tables["noise_sensitivity"], Settings(), WORDS
    )
    assert score.startswith("For 2 of 3 curves the score of the tuned model")
    assert "one seed) by 0.2" in score and "since step" in score
    assert kept.startswith("For 0 of 3 curves what the tuned model keeps")
    least = tables["overtraining"].filter(pl.col("measure") == "kept")["drop_detectable"]
    assert kept.endswith(f" Detectable with 80 % power: {least.min():.3f} to {least.max():.3f}.")
    assert "Detectable with" not in score
    assert corrected.startswith("This is corrected") and corrected.endswith("not known here.")
    assert "own_set from −2." in noise


def test_the_learning_rate_of_pretraining_is_named_as_what_else_may_be_the_reason(tables):
    def said(best, last):
        told = tables["overtraining"].with_columns(
            best_pretraining_lr=pl.lit(best), last_pretraining_lr=pl.lit(last)
        )
        found = overtraining_findings(told, tables["noise_sensitivity"], Settings(), WORDS)
        return next(sentence for sentence in found if sentence.startswith("This is corrected"))

    falling = said(4e-4, 4e-5)
    assert ", step3 4.0e-05): its effect cannot be separated from" in falling
    assert "step1 4.0e-04" in falling or "step0 4.0e-04" in falling
    assert "the same learning rate, 4.0e-04, at the checkpoints compared." in said(4e-4, 4e-4)


def test_nothing_is_said_of_nothing(tables):
    empty = {name: table.clear() for name, table in tables.items()}
    assert remedy_findings(empty["equal_gain"], empty["remedy_trends"], Settings(), WORDS) == []
    found = overtraining_findings(
        empty["overtraining"], empty["noise_sensitivity"], Settings(), WORDS
    )
    assert found == []
