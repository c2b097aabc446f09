"""The table of fine-tuned models: what they were trained with, and which setting is chosen."""

import json

import numpy as np
import polars as pl
import pytest
from remedy_scores import OWN, Model, remedy_scores
from score_tables import pick
from synthetic_scores import SETTING_LOSS, add_text, collect, study_slice, write_evaluations

from ptft.analysis.findings_of_changes import texts as findings_on_texts
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.analysis.tuned_models import (
    CHOSEN,
    arms,
    chosen_settings,
    learned_seeds,
    shown,
    shown_settings,
    with_chosen,
)
from ptft.figures.drawing import draw

RATES = [1e-3, 1e-2, 1e-1]
# Validation loss of the rates, by checkpoint and task; the two seeds are .1 above and below.
LOSS = {
    ("step10", "nli"): (2.0, 1.0, 3.0),
    ("step10", "story"): (1.0, 1.0, 3.0),
    ("step100", "nli"): (3.0, 2.0, 1.0),
    ("step100", "story"): (3.0, 1.0, 2.0),
    ("main", "nli"): (3.0, 2.0, float("nan")),
    ("main", "story"): (1.0, 2.0, 3.0),
}


def arms_study(seeds=1):
    study = study_slice(seeds, ("default",), tuple(SETTING_LOSS))
    tuned = {
        name: about
        | {"settings": {"lr": float(about["setting"].removeprefix("lr"))}, "changes": ["lr"]}
        for name, about in study["arms"].items()
        if about["method"]
    }
    sweeps = {"full": {"lr": RATES}}
    return {"checkpoints": study["checkpoints"], "arms": tuned, "sweeps": sweeps}


def write_records(study, folder, losses=LOSS):
    """Each model's notes of its training."""
    for checkpoint in study["checkpoints"]:
        for arm, about in study["arms"].items():
            of_rates = losses.get((checkpoint, about["train_task"]))
            if of_rates is None:
                continue
            loss = of_rates[RATES.index(about["settings"]["lr"])] + (-0.1, 0.1)[about["seed"]]
            noted = {"lr": about["settings"]["lr"], "loss": 0.5, "validation_loss": loss}
            noted |= {"validation_exact": 0.25, "start_loss": 3.0, "constant_loss": 1.0}
            noted |= {"steps": 300, "final_loss": 0.1, "verdict": "learned"}
            (folder / checkpoint / arm).mkdir(parents=True)
            (folder / checkpoint / arm / "training.json").write_text(json.dumps(noted))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, study = tmp_path_factory.mktemp("models"), arms_study(seeds=2)
    write_records(study, folder)
    return arms(study, folder)


def test_a_row_holds_what_a_model_was_trained_with_and_how_it_ended(table):
    assert len(table) == 3 * 2 * 3 * 2
    row = pick(table, checkpoint="step10", arm="full.nli.lr0.01.s1")
    assert row == {
        "checkpoint": "step10",
        "step": 10,
        "tokens": 1000,
        "pretraining_lr": None,
        "arm": "full.nli.lr0.01.s1",
        "method": "full",
        "train_task": "nli",
        "setting": "lr0.01",
        "seed": 1,
        "after": None,
        "lr": 0.01,
        "n_updates": 300,
        "train_loss": 0.5,
        "validation_loss": pytest.approx(1.1),
        "validation_exact": 0.25,
        "start_loss": 3.0,
        "constant_loss": 1.0,
        "final_loss": 0.1,
        "training": "learned",
        "learned": True,
        "chosen": True,
        "at_edge": False,
    }


def test_a_model_that_goes_on_from_another_has_a_row_and_no_part_in_the_choice(tmp_path):
    study = arms_study(seeds=1)
    link = study["arms"]["full.nli.lr0.1.s0"] | {"after": "full.story.lr0.1.s0"}
    study["arms"]["full.nli.second.s0"] = link | {"setting": "second", "changes": []}
    write_records(study, tmp_path)
    rows = arms(study, tmp_path).filter(setting="second")
    assert rows["after"].to_list() == ["full.story.lr0.1.s0"] * 3
    assert rows["chosen"].to_list() == [None] * 3


def test_the_lowest_validation_loss_over_seeds_is_chosen(table):
    found = {
        (row["checkpoint"], row["train_task"]): row["setting"]
        for row in chosen_settings(table).iter_rows(named=True)
    }
    assert found == {
        ("step10", "nli"): "lr0.01",
        ("step10", "story"): "lr0.001",  # of equals the first
        ("step100", "nli"): "lr0.1",
        ("step100", "story"): "lr0.01",
        ("main", "nli"): "lr0.01",  # one that diverged is not chosen
        ("main", "story"): "lr0.001",
    }


def test_choices_at_the_edge_of_the_range_are_flagged(table):
    edge = table.filter("at_edge").select("checkpoint", "train_task").unique().rows()
    assert sorted(edge) == [("main", "story"), ("step10", "story"), ("step100", "nli")]
    assert table.filter(~pl.col("chosen"))["at_edge"].any() is False


def test_without_all_losses_nothing_is_chosen_and_the_first_setting_is_shown(tmp_path):
    study = arms_study()
    write_records(study, tmp_path, {key: LOSS[key] for key in LOSS if key != ("main", "nli")})
    found = arms(study, tmp_path)
    assert found.filter(checkpoint="main", train_task="nli")["chosen"].to_list() == [None] * 3
    assert found.filter(checkpoint="main", train_task="story")["chosen"].sum() == 1
    # A curve over checkpoints would have a hole.
    assert chosen_settings(found).is_empty()
    assert shown_settings(found).rows() == [("full", "lr0.001")]


@pytest.fixture(scope="module")
def swept(tmp_path_factory, table):
    """Tables of a study of three settings, fixed and chosen."""
    folder = tmp_path_factory.mktemp("evaluations")
    study = study_slice(1, ("default", "io"), tuple(SETTING_LOSS))
    write_evaluations(study, folder, n=60)
    collected = collect(add_text(study, folder), folder)
    scores = with_chosen(Scores.build(collected.cells, collected.replicates), table)
    return lambda name: make_table(name, scores, Settings())


def test_tables_tell_of_each_setting_and_of_the_chosen_one(swept, table):
    gains = swept("gains").filter(train_task="nli", dataset="nli_in")
    tuned = {
        (row["checkpoint"], row["setting"]): row["tuned"] for row in gains.iter_rows(named=True)
    }
    assert len(tuned) == len(gains) == 3 * 4
    assert tuned["step100", "lr0.001"] == pytest.approx(0.60)
    assert tuned["step100", "lr0.1"] == pytest.approx(0.45)
    for checkpoint, setting in {"step10": "lr0.01", "step100": "lr0.1", "main": "lr0.01"}.items():
        assert tuned[checkpoint, CHOSEN] == tuned[checkpoint, setting]
    curves = swept("latent").filter(train_task="nli", dataset="nli_in")
    assert sorted(curves["setting"]) == [CHOSEN, "lr0.001", "lr0.01", "lr0.1"]
    kept = shown(curves, table)
    assert kept["setting"].to_list() == [CHOSEN]
    assert kept["tuned_last"][0] == tuned["main", "lr0.01"]


def test_means_do_not_mix_settings(swept):
    mean = swept("forgetting").filter(train_task="(mean over tasks)", checkpoint="main")
    per_setting = mean.group_by("setting", "direction").len()
    assert per_setting["len"].unique().to_list() == [1]
    assert set(mean["setting"]) == {CHOSEN, *SETTING_LOSS}
    own = swept("gains").filter(train_task="nli", domain="in", checkpoint="main")
    gain = dict(own.group_by("setting").agg(pl.col("gain").mean()).iter_rows())
    assert gain["lr0.001"] - gain["lr0.1"] == pytest.approx(0.15)
    assert gain[CHOSEN] == gain["lr0.01"]


def test_the_settings_as_they_are_can_be_chosen_and_make_one_curve():
    """Of a sweep with the settings as they are (null) the choice changes along pre-training."""
    base = Model([0.4] * 4, [0.7] * 4, method=None)
    fixed = [
        Model([0.8, 0.6, 0.8, 0.6], [0.5] * 4),
        Model([0.5, 0.9, 0.5, 0.9], [0.5] * 4, swept="dropout", setting="dropout0.1"),
    ]
    scores = remedy_scores([base, *fixed], 500, np.random.default_rng(0))
    settings = [None, "dropout0.1"]
    table = pl.DataFrame(
        [
            {"checkpoint": f"step{at}", "method": "full", "train_task": "nli", "setting": setting,
             "chosen": setting == settings[at % 2], "pretraining_lr": None,
             "seed": 0, "learned": None}
            for at in range(4) for setting in settings
        ]
    )  # fmt: skip
    chosen = with_chosen(scores, table)
    gains = make_table("gains", chosen, Settings()).filter(setting=CHOSEN, dataset=OWN)
    fixed_gains = make_table("gains", scores, Settings()).filter(dataset=OWN)
    assert gains["checkpoint"].to_list() == ["step0", "step1", "step2", "step3"]
    for at, row in enumerate(gains.iter_rows(named=True)):
        own = pick(fixed_gains, checkpoint=f"step{at}", setting=settings[at % 2])
        assert row["tuned"] == own["tuned"]
    [curve] = make_table("overtraining", chosen, Settings()).filter(setting=CHOSEN).to_dicts()
    assert (curve["n_checkpoints"], curve["last_checkpoint"]) == (4, "step3")
    along = make_table("along_pretraining", chosen, Settings())
    along = along.filter(setting=CHOSEN)
    assert along["swept"].null_count() == len(along) == 4


def test_generic_text_has_every_setting_and_draws_the_chosen_one(swept, table):
    texts = swept("generic_text")
    last = texts.filter(checkpoint="main", train_task="nli")
    losses = dict(last.select("setting", "bits_per_byte").iter_rows())
    assert set(losses) == {CHOSEN, *SETTING_LOSS} and losses[CHOSEN] == losses["lr0.01"]
    told = [found.about.get("setting") for found in findings_on_texts({"generic_text": texts})]
    assert all(told[1:].count(setting) == 2 for setting in SETTING_LOSS)  # of both tasks
    [ax] = draw("generic_text", {"generic_text": texts, "claims": swept("claims")}, arms=table).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    own = texts.filter(train_task="nli", setting=CHOSEN).sort("index")
    assert drawn["tuned on nli (full, chosen)"] == own["bits_per_byte"].to_list()


def test_a_training_that_is_behind_its_other_seeds_did_not_learn(tmp_path):
    """The constant answer has a loss of 1.0: halfway to the best seed's 0.02 is .51."""
    study = arms_study(seeds=2)
    write_records(study, tmp_path)
    ends = {"full.nli.lr0.001.s0": 0.02, "full.nli.lr0.001.s1": 0.60, "full.nli.lr0.01.s1": 0.40}
    for arm, loss in ends.items():
        file = tmp_path / "main" / arm / "training.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"final_loss": loss}))
    flat = tmp_path / "main/full.story.lr0.1.s0/training.json"
    flat.write_text(json.dumps(json.loads(flat.read_text()) | {"verdict": "constant"}))
    table = arms(study, tmp_path).filter(checkpoint="main")
    failed = dict(table.filter(~pl.col("learned")).select("arm", "training").iter_rows())
    assert failed == {"full.nli.lr0.001.s1": "behind", "full.story.lr0.1.s0": "constant"}
    counts = learned_seeds(table)
    row = pick(counts, checkpoint="main", train_task="nli", setting="lr0.001")
    assert (row["trained"], row["learned"], row["seeds"]) == (2, 1, [0])


def test_gains_with_and_without_trainings_that_failed():
    """Three seeds gain .4, one nothing: it did not learn."""
    base = Model([0.5], [0.8], method=None)
    good = Model([0.9], [0.4], seeds=(0, 1, 2))
    failed = Model([0.5], [0.8], seeds=(3,))
    scores = remedy_scores([base, good, failed], 3000, np.random.default_rng(0))
    table = pl.DataFrame(
        {"checkpoint": "step0", "method": "full", "train_task": "nli", "setting": None,
         "seed": [0, 1, 2, 3], "learned": [True, True, True, False], "chosen": None},
        schema_overrides={"setting": pl.String, "chosen": pl.Boolean},
    )  # fmt: skip
    scores = with_chosen(scores, table)
    [row] = make_table("trainings", scores, Settings()).iter_rows(named=True)
    assert (row["trained"], row["learned"], row["share"]) == (4, 3, 0.75)
    # Wilson's interval of 3 of 4.
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.301, 0.954), abs=1e-3)
    assert row["gain"] == pytest.approx(0.3, abs=0.02)
    assert row["gain_if_learned"] == pytest.approx(0.4, abs=0.02)
    assert row["kept"] == pytest.approx(-0.375, abs=0.02)
    assert row["kept_if_learned"] == pytest.approx(-0.5, abs=0.02)
    # A fifth is trained, and not scored yet.
    more = with_chosen(scores, pl.concat([table, table[:1].with_columns(seed=pl.lit(4, pl.Int64))]))
    [then] = make_table("trainings", more, Settings()).iter_rows(named=True)
    assert (then["learned"], then["gain_if_learned"]) == (4, row["gain_if_learned"])
    own = make_table("gains", scores, Settings()).filter(dataset=OWN)
    assert own.select("n_seeds", "n_learned").rows() == [(4, 3)]
