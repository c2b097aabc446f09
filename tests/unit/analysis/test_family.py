"""Tables with the joint limits and the verdicts of table `claims`."""

import numpy as np
import polars as pl
import pytest
from remedy_scores import OTHER, OWN, Model, remedy_scores
from score_tables import pick

from ptft.analysis.family import with_claims
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table

BASE = Model([0.5] * 4, [0.8, 0.8, 0.8, 0.9], method=None)
# Rises from chance on its own set; from step 2 on it is as good as at the end.
FULL = Model([0.5, 0.7, 0.9, 0.9], [0.4] * 4)
LORA = Model([0.9, 0.9, 0.9, 0.8], [0.8] * 4, method="lora")


@pytest.fixture(scope="module")
def single():
    scores = remedy_scores([BASE, FULL, LORA], 20_000, np.random.default_rng(0))
    return {name: make_table(name, scores, Settings()) for name in TABLES}


@pytest.fixture(scope="module")
def joint(single):
    return with_claims(single)


def test_without_the_family_nothing_changes(single):
    alone = {name: table for name, table in single.items() if name != "claims"}
    assert all(table is alone[name] for name, table in with_claims(alone).items())


def test_rows_that_the_page_judges_have_joint_limits_and_others_their_own(single, joint):
    own = {"checkpoint": "step3", "method": "full", "dataset": OWN}
    claim = pick(single["claims"], claim="gain", **own)
    row, before = pick(joint["gains"], **own), pick(single["gains"], **own)
    assert (row["ci_low"], row["ci_high"]) == (claim["ci_low"], claim["ci_high"])
    assert row["ci_low"] < before["ci_low"] and row["gain"] == before["gain"]
    elsewhere = pl.col("dataset") == OTHER
    assert joint["gains"].filter(elsewhere).equals(single["gains"].filter(elsewhere))
    mean = {"train_task": "(mean over tasks)", "method": "full", "checkpoint": "step3"}
    for name in ("ci_low", "ci_high"):
        lost = pick(joint["forgetting"], **mean)[f"headroom_{name}"]
        assert lost == pick(single["claims"], claim="headroom", method="full")[name]
        task = {**mean, "train_task": "nli"}
        assert pick(joint["forgetting"], **task) == pick(single["forgetting"], **task)


def test_verdicts_are_those_of_the_claims(single, joint):
    full = pick(joint["latent"], method="full")
    assert full["latent"] and full["tuned_learned"] and not full["base_learned"]
    assert pick(joint["groups"], dataset=OWN)["group"] == "not_learned"
    undecided = single["claims"].with_columns(
        verdict=pl.when(pl.col("claim") == "excess").then(pl.lit("rises")).otherwise("verdict")
    )
    told = with_claims(single | {"claims": undecided})
    assert not pick(told["latent"], method="full")["latent"]
    assert pick(told["latent"], method="full")["more"]


def test_a_decline_is_one_and_a_rise_is_none(joint):
    p = dict(joint["overtraining"].select("method", "p").iter_rows())
    assert p["lora"] < 0.05 and p["full"] == 1.0


def test_a_stop_that_the_family_does_not_show_is_the_last_checkpoint(single, joint):
    full = pick(joint["stopping"], method="full")
    assert (full["safe_checkpoint"], full["safe_index"]) == ("step2", 2)
    assert full["safe_share_saved"] == pytest.approx(1 / 3)
    unsure = single["claims"].with_columns(
        verdict=pl.when(pl.col("claim") == "stop").then(pl.lit("undecided")).otherwise("verdict")
    )
    told = pick(with_claims(single | {"claims": unsure})["stopping"], method="full")
    assert (told["safe_checkpoint"], told["safe_share_saved"]) == ("step3", 0.0)
