"""Learning, and what only looks so."""

import pytest
from score_tables import pick, scores_of

from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table


def curve(scores):
    return pick(make_table("latent", scores, Settings()), train_task="nli", dataset="nli_in")


@pytest.mark.parametrize(
    ("tuned", "audit"),
    [
        # It ends in the constant answer: 55 % of the gold labels are the same.
        ((0.375, 0.550), {"gold_share": 0.55, "prediction_share": 1.0}),
        # It ends at what a constant answer earns, though a few answers differ.
        ((0.375, 0.558), {"gold_share": 0.55, "prediction_share": 0.97}),
        # A constant answer that is right more often than the most frequent label says: two flags.
        ((0.375, 0.70), {"gold_share": 0.4, "prediction_share": 1.0}),
        # From clearly below chance to a little above it: 0.05 of 0.33 count.
        ((0.10, 0.43), {}),
        # 99 % of the gold labels are the same.
        ((0.375, 0.990), {"gold_share": 0.99}),
    ],
)
def test_what_guessing_explains_is_no_learning(tuned, audit):
    row = curve(scores_of((0.35, 0.36), tuned, **audit))
    assert row["tuned_rise"] >= 0.1 and row["tuned_rise_ci_low"] > 0
    assert not row["latent"]


def test_a_base_model_that_ends_in_the_constant_answer_has_learned_nothing():
    scores = scores_of((0.375, 0.550), (0.375, 0.80), gold_share=0.55)
    row = make_table("groups", scores, Settings()).row(0, named=True)
    assert (row["group"], row["guess"]) == ("not_learned", pytest.approx(0.55))
    assert curve(scores)["latent"]


def test_a_start_below_chance_counts_from_chance():
    assert curve(scores_of((0.35, 0.36), (0.10, 0.60)))["latent"]
