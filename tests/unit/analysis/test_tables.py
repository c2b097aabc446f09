"""Analyses on hand-made cells whose answers can be computed on paper."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from remedy_scores import Model, remedy_scores
from score_tables import VALUES, cells, pick
from slice_files import slice_file

from ptft.analysis.cell_scores import replicate_table
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table
from ptft.analysis.tables.forgetting import ALL_TASKS, bounded_change, ratio_change
from ptft.files import read_slice


@pytest.fixture(scope="module")
def tables():
    scores = Scores.build(cells())
    return {name: make_table(name, scores, Settings()) for name in TABLES}


def test_gains(tables):
    row = pick(tables["gains"], checkpoint="step100", train_task="nli", dataset="nli_in")
    assert (row["base"], row["tuned"]) == (0.34, 0.80)
    assert row["gain"] == pytest.approx(0.46)
    # Two independent scores with standard error 0.01 each.
    assert row["stderr"] == pytest.approx(0.01 * np.sqrt(2), rel=0.05)
    assert row["ci_low"] == pytest.approx(0.46 - 1.96 * 0.01414, abs=0.002)
    assert len(tables["gains"]) == 14  # 7 (task, dataset) pairs, default format, 2 checkpoints


def test_groups(tables):
    assert dict(tables["groups"].select("dataset", "group").iter_rows()) == {
        "nli_in": "not_learned",  # rises by 0.04 only
        "nli_out": "not_learned",
        "quiz": "learned",
        "story": "learned",  # rises by the margin
    }
    quiz = pick(tables["groups"], dataset="quiz")
    assert quiz["group"] == "learned"
    assert quiz["rise"] == pytest.approx(0.40)


def test_a_rise_below_chance_is_not_learned():
    values = {("base", "nli_in", "default"): (0.05, 0.30)}
    scores = Scores.build(cells(values))
    row = make_table("groups", scores, Settings()).row(0, named=True)
    assert row["rise"] == pytest.approx(0.25)
    assert row["group"] == "not_learned"


def test_a_rise_whose_interval_includes_zero_is_not_learned():
    # The rise of 0.11 has a standard error of 0.064.
    values = {("base", "story", "default"): (0.10, 0.21)}
    row = make_table("groups", Scores.build(cells(values, 0.045)), Settings()).row(0, named=True)
    assert row["group"] == "not_learned"


def test_group_gains(tables):
    own = pick(tables["group_gains"], group="not_learned", checkpoint="step100")
    assert own["gain"] == pytest.approx(0.46) and own["datasets"] == "nli_in"


def test_ratio_and_bounded_change():
    tuned, base = np.array([0.05, 0.2, 0.0, 0.101]), np.array([0.2, 0.1, 0.0, 0.001])
    np.testing.assert_allclose(ratio_change(tuned, base), [-0.75, 1.0, np.nan, 100.0])
    np.testing.assert_allclose(bounded_change(tuned, base), [-0.75, 0.5, 0.0, 100 / 101])
    assert np.isnan(bounded_change(np.array([np.nan]), np.array([0.1]))).all()


def test_forgetting_where_there_is_something_to_forget():
    """Of nli's models at step 10 only story's base score, .10, is above guessing by .05 or more; at
    step 100 quiz falls from .65 to .60, of which .40 was above chance, story from .20 to .05."""
    table = make_table("forgetting", Scores.build(cells()), Settings())
    own = table.filter(train_task="nli")
    to_choices = own.filter(direction="classification>classification").sort("index")
    assert to_choices["headroom"].to_list() == [None, pytest.approx(-0.05 / 0.40)]
    assert to_choices["headroom_pairs"].to_list() == [0, 1]
    to_texts = own.filter(direction="classification>generation").sort("index")
    assert to_texts["headroom"].to_list() == pytest.approx([-0.5, -0.75])
    assert to_texts["headroom_ci_high"][1] < 0
    # A base score of .003, or one that only seems to be above chance, is nothing to forget.
    little = {("base", "story", "default"): (0.003, 0.2), ("base", "quiz", "default"): (0.25, 0.30)}
    scores = Scores.build(cells(VALUES | little, stderr=0.02))
    rows = make_table("forgetting", scores, Settings()).filter(train_task="nli").sort("index")
    assert rows["headroom_pairs"].to_list() == [0, 0, 0, 1]
    # A score below guessing has lost all that there was, not more.
    fallen = {("full.nli.s0", "quiz", "default"): (0.25, 0.05)}
    scores = Scores.build(cells(VALUES | fallen))
    row = pick(
        make_table("forgetting", scores, Settings()), train_task="nli", checkpoint="step100",
        direction="classification>classification",
    )  # fmt: skip
    assert row["headroom"] == -1.0


def test_the_papers_ratio_is_pooled_over_checkpoints():
    # Of a base score near zero one pair decides the sign of the mean ratio.
    values = VALUES | {
        ("base", "story", "default"): (0.01, 0.2),
        ("full.nli.s0", "story", "default"): (0.03, 0.05),
    }
    row = pick(
        make_table("transfer", Scores.build(cells(values)), Settings()),
        direction="classification>generation",
    )
    assert row["mrc"] == pytest.approx((2.0 - 0.75) / 2) and row["n_cells"] == 2
    assert row["bounded"] == pytest.approx((0.02 / 0.03 - 0.75) / 2)


def test_forgetting(tables):
    table = tables["forgetting"]
    lost = pick(
        table, direction="classification>generation", train_task="nli", checkpoint="step100"
    )
    assert lost["mrc"] == lost["bounded"] == pytest.approx(-0.75)
    assert lost["difference"] == pytest.approx(-0.15)
    back = pick(
        table, direction="generation>classification", train_task="story", checkpoint="step100"
    )
    # nli_in 0.34 -> 0.51 is +50 % (bounded 1/3), quiz does not move; mean of the two.
    assert back["mrc"] == pytest.approx(0.25)
    assert back["bounded"] == pytest.approx(1 / 6)
    assert back["datasets"] == "nli_in quiz"
    mean = pick(
        table, direction="generation>classification", train_task=ALL_TASKS, checkpoint="step100"
    )
    assert mean["mrc"] == pytest.approx(0.25) and mean["complete"]


def test_noise_of_a_curve():
    """Three checkpoints, two of them twins: a rise of .30 beside a difference of .10."""
    base = Model([0.3, 0.5, 0.6], [0.6, 0.6, 0.6], method=None)
    scores = remedy_scores([base], 50_000, np.random.default_rng(0))
    near = pl.when(pl.col("step") == 2).then(1.001).otherwise(pl.col("step")) * 1000
    scores = dataclasses.replace(
        scores, cells=scores.cells.with_columns(tokens=near.cast(pl.Int64))
    )
    row = pick(make_table("noise", scores, Settings()), dataset="own_set")
    assert row["range"] == pytest.approx(0.3, abs=0.01) and row["n_checkpoints"] == 3
    assert (row["twins"], row["twins_of"]) == (pytest.approx(0.1, abs=0.01), "same tokens")
    assert row["scatter"] is None  # two places have no neighbours on both sides


def test_formats(tables):
    row = pick(tables["formats"], checkpoint="step100", method="full", format="io")
    assert row["gap"] == pytest.approx(-0.30)
    base = pick(tables["formats"], checkpoint="step10", method=None, format="default")
    assert base["gap"] == 0
    assert tables["formats"]["dataset"].unique().to_list() == ["nli_in"]


def test_latent(tables):
    row = pick(tables["latent"], train_task="nli", dataset="nli_in")
    assert row["tuned_rise"] == pytest.approx(0.45) and row["base_rise"] == pytest.approx(0.04)
    assert row["latent"]
    assert not pick(tables["latent"], train_task="story", dataset="story")["latent"]
    # Two checkpoints: tau is 1, and says nothing (p = 1).
    assert (row["tuned_tau"], row["tuned_p"]) == (1.0, 1.0)


def test_gains_are_of_every_dataset(tables):
    row = pick(tables["gains"], train_task="nli", dataset="story", checkpoint="step100")
    assert (row["domain"], row["gain"]) == ("cross", pytest.approx(-0.15))


def test_a_hole_is_flagged():
    one_short = cells().filter(
        (pl.col("arm") != "full.story.s0") | (pl.col("dataset") != "quiz") | (pl.col("step") != 10)
    )
    table = make_table("forgetting", Scores.build(one_short), Settings())
    mean = {"train_task": "story", "direction": "generation>classification"}
    early, late = (pick(table, **mean, checkpoint=name) for name in ("step10", "step100"))
    assert not early["complete"] and late["complete"]
    assert early["n_cells"] == late["n_cells"] - 1


def test_duplicates_are_refused_and_both_sources_named():
    doubled = pl.concat([cells(), cells().with_columns(study=pl.lit("other"), value=0.9)])
    with pytest.raises(ValueError, match=r"occurs 2 times: .*other.*hand"):
        Scores.build(doubled)


def test_seeds_are_averaged():
    values = {("base", "nli_in", "default"): (0.3, 0.3)} | {
        (f"full.nli.s{seed}", "nli_in", "default"): (0.5 + seed / 10, 0.5) for seed in range(3)
    }
    table = make_table("gains", Scores.build(cells(values)), Settings())
    row = pick(table, checkpoint="step10")
    assert row["n_seeds"] == 3
    assert row["tuned"] == pytest.approx(0.6) and row["gain"] == pytest.approx(0.3)
    # Spread over seeds: sd 0.1 / sqrt(3), with the base model's error of 0.01.
    assert row["stderr"] == pytest.approx(np.hypot(0.1 / np.sqrt(3), 0.01), rel=0.05)
    # Student's t with two degrees of freedom reaches 4.3 of them; the normal, 1.96.
    assert row["ci_high"] - row["gain"] == pytest.approx(4.3 * row["stderr"], rel=0.1)


def test_a_single_cell_makes_every_table():
    scores = Scores.build(cells({("base", "nli_in", "default"): (0.3, 0.3)}).head(1))
    sizes = {name: len(make_table(name, scores, Settings())) for name in TABLES}
    assert sizes.pop("base_scores") == sizes.pop("claims") == 1
    assert set(sizes.values()) == {0}


def test_settings_are_strict(tmp_path):
    def read(**values):
        return read_slice(Path(slice_file(tmp_path / "settings.json", values)), Settings)

    assert read(level=0.9, paper_groups={"a": "learned"}).level == 0.9
    with pytest.raises(ValueError, match=r"json:1: rise = .*: Unexpected keyword argument"):
        read(rise=1)
    with pytest.raises(ValueError, match="level = 'high': expected a valid number"):
        read(level="high")
    with pytest.raises(ValueError, match="'level' is 95"):
        Settings(level=95)
    with pytest.raises(ValueError, match="no table named"):
        make_table("gain", Scores.build(cells()), Settings())
    with pytest.raises(ValueError, match="no score with format 'odd'"):
        make_table("gains", Scores.build(cells()), Settings(format="odd"))


def with_answers(kind="classification", **audit):
    """Scores of one base cell at two checkpoints with what is known of its answers."""
    frame = cells({("base", "nli_in", "default"): (0.40, 0.40)}).with_columns(
        n=pl.lit(100, pl.Int64), kind=pl.lit(kind)
    )
    known = {
        "gold_labels": 3, "gold_share": 0.4, "predictions": 3, "prediction_share": 0.5,
        "prompt_tokens": 10.0, "gained": None, "lost": None,
    } | audit  # fmt: skip
    drawn = np.random.default_rng(0).normal(0.4, 0.05, (2, 500))
    return Scores.build(frame, replicate_table(frame, drawn, **known))


def flags(scores):
    return make_table("suspicious", scores, Settings())["flag"].unique().sort().to_list()


def test_flags_from_answers():
    assert flags(with_answers()) == []
    assert flags(with_answers(gold_share=0.995)) == ["one gold label"]
    # Of a question's choices the right one may always stand first.
    assert flags(with_answers("multiple_choice", gold_share=1.0)) == []
    assert flags(with_answers(prediction_share=1.0)) == ["constant answer"]
    # 95 of 100 answers are one label: no chance where it is right for 40, or 82; it is for 93.
    for majority, found in ((0.4, ["near-constant answer"]), (0.82, ["near-constant answer"])):
        assert flags(with_answers(prediction_share=0.95, gold_share=majority)) == found
    assert flags(with_answers(prediction_share=0.95, gold_share=0.93)) == []
    assert flags(with_answers(prediction_share=0.85)) == []  # a lean is no constant answer


@pytest.mark.parametrize(("metric", "flag"), [("empty", "empty answers"), ("cut", "cut answers")])
def test_a_flag_for_answers_that_end_before_they_say_anything_or_never(metric, flag):
    """By the mean of both seeds: .1 and .4 of the answers are a quarter, .1 and .3 are not."""
    seeds = {("base", "story", "default"): (0.4, 0.5)} | {
        (f"full.nli.s{seed}", "story", "default"): (0.2, 0.3) for seed in (0, 1)
    }
    frame = cells(seeds)
    for share, found in ((0.4, [flag]), (0.3, [])):
        ended = pl.when(pl.col("seed") == 1).then(share).otherwise(0.1)
        beside = frame.with_columns(metric=pl.lit(metric), value=ended, main=pl.lit(False))
        scores = Scores.build(pl.concat([frame, beside]))
        flagged = make_table("suspicious", scores, Settings())
        assert flags(scores) == found and set(flagged["method"]) <= {"full"}


def test_a_flag_for_shots_that_did_not_fit():
    frame = cells({("base", "nli_in", "default"): (0.4, 0.4)}).with_columns(truncated=pl.lit(0.9))
    assert flags(Scores.build(frame)) == ["shots cut"]
    assert flags(Scores.build(frame.with_columns(shots=pl.lit(0, pl.Int64)))) == []
    assert flags(Scores.build(frame.with_columns(truncated=pl.lit(0.1)))) == []


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (pl.lit(True), [0]),
        ((pl.col("shots") > 0) | (pl.col("step") == 10), [0]),  # some are missing
        ((pl.col("shots") > 0) | (pl.col("arm") == "base") & (pl.col("step") == 10), [4]),
        (pl.col("shots") > 0, [4]),
        ((pl.col("shots") == 2) | (pl.col("shots") == 4) & (pl.col("step") == 10), [2]),
    ],
)
def test_the_number_of_shots_is_that_of_tuning_where_it_is_there(there, taken):
    several = pl.concat([cells().with_columns(shots=pl.lit(n, pl.Int64)) for n in (0, 2, 4)])
    gains = make_table("gains", Scores.build(several.filter(there)), Settings())
    assert gains["shots"].unique().to_list() == taken


def test_flags_from_scores_alone():
    def one(value, stderr, arm="base"):
        values = {(arm, "nli_in", "default"): (value, 0.5)}
        return flags(Scores.build(cells(values, stderr)))

    assert one(0.9999, 1e-5) == ["near perfect untuned"]
    assert one(0.9999, 1e-5, arm="full.nli.s0") == []
    assert one(0.0, 0.0) == ["below chance", "no variance"]
    assert one(0.20, 0.01) == ["below chance"]
    assert one(0.30, 0.01) == []
    # Exactly the same accuracy on 100 examples is no wonder; on many it is.
    twice = cells({("base", "nli_in", "default"): (0.4321, 0.4321)})
    assert flags(Scores.build(twice)) == []
    many = twice.with_columns(n=pl.lit(9815, pl.Int64))
    assert flags(Scores.build(many)) == ["same score twice"]
