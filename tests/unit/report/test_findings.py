"""Records of findings: numbers and verdicts of made-up studies whose truth is known."""

import json

import numpy as np
import polars as pl
import pytest
from remedy_scores import Model, remedy_scores
from score_tables import scores_of

from ptft.analysis.family import with_claims
from ptft.analysis.findings import Condition, Finding, findings_table, latent, verdict_of
from ptft.analysis.findings_of_changes import forgotten, overtraining, spared, texts
from ptft.analysis.findings_of_study import doubts, learned, read_notes, read_updates
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.evaluation.records import write_cells_record
from ptft.report.rendering import points, sentence
from ptft.report.rows import FAILED, Warnings

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
    names = ("gains", "equal_gain", "remedy_trends", "overtraining", "noise_sensitivity", "claims")
    return with_claims(
        {name: make_table(name, scores, Settings(gain_margin=0.0)) for name in names}
    )


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


def test_the_best_method_and_the_trend(remedies):
    found = list(spared(remedies, Settings()))
    best = found[0]
    assert best.kind == "spared" and best.verdict == "keeps more" and best.about["method"] == "lora"
    # Rank 1 loses an 80th, full fine-tuning half.
    assert best.about["setting"] == "rank" and 0.4 < best.value < 0.55 and best.low > 0
    assert any(trend.value > 0.05 for trend in of_kind(found, "remedy_trend"))
    assert len(of_kind(found, "remedy")) == 2


def test_without_a_shown_gain_no_remedy_is_praised(remedies):
    nothing = remedies["gains"].with_columns(ci_low=pl.lit(-0.1))
    headline, idle, *_ = spared(remedies | {"gains": nothing}, Settings())
    assert (headline.verdict, headline.count, headline.of) == ("no gain", 0, 0)
    assert idle.kind == "no_gain" and idle.about["tasks"] == ["nli"]
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
        index=pl.Series([0, 1]), flag=pl.lit("constant answer")
    )
    twice = pl.concat([flagged, flagged.head(1).with_columns(flag=pl.lit("no variance"))])
    whole, *warnings = doubts({"cells": cells, "suspicious": twice})
    assert (whole.count, whole.of) == (2, 3)
    assert [(w.verdict, w.count, w.of) for w in warnings] == [
        ("constant answer", 2, 3),
        ("no variance", 1, 3),
    ]
    assert sentence(warnings[1]).startswith("Every example") and warnings[0].more["base"] == 2


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


def trainings(**methods):
    """Table `trainings` at two checkpoints: learned of 6 seeds, and kept by those that did."""
    rows = []
    for method, (count, kept) in methods.items():
        for index, checkpoint in enumerate(("step1", "main")):
            row = {"checkpoint": checkpoint, "index": index, "method": method, "setting": None}
            row |= {"train_task": "nli", "trained": 6, "learned": 6 if index == 0 else count}
            row |= {"share": row["learned"] / 6, "ci_low": 0.1, "ci_high": 1.0}
            row |= {"gain": 0.3, "gain_if_learned": 0.6 if count else None}
            row |= {"kept": kept / 2, "kept_if_learned": kept if count else None}
            rows.append(row)
    return pl.DataFrame(rows, schema_overrides={"setting": pl.String})


def test_a_method_that_fails_in_some_seeds_is_told_with_and_without_them():
    found = list(learned({"trainings": trainings(full=(5, -0.4), lora=(3, -0.1), dora=(6, 0.0))}))
    said = [f for f in found if f.kind != "training"]
    assert [(f.kind, f.question, f.about["method"]) for f in said] == [
        ("learned_gain", "added", "full"),
        ("learned_kept", "forgotten", "full"),
        ("learned_gain", "added", "lora"),
        ("learned_kept", "forgotten", "lora"),
        ("learned_spared", "spared", "lora"),
    ]
    full, lora = said[0], said[4]
    assert (full.count, full.of, full.value, full.low) == (5, 6, 5 / 6, 0.1)
    # Kept more than by full fine-tuning: -0.05 + 0.2 over all seeds, -0.1 + 0.4 given success.
    assert lora.more["spared"] == pytest.approx(0.15)
    assert lora.more["spared_if_learned"] == pytest.approx(0.3)
    assert sentence(full).startswith("Full fine-tuning on nli learned in 5 of 6 seeds")
    assert "+30 points over all seeds, +60 where it learned" in sentence(full)
    assert [f.count for f in of_kind(found, "training")] == [6, 5, 3]
    assert list(learned({})) == []


def test_failed_trainings_are_the_first_warning():
    cells = pl.DataFrame(
        {"main": [True], "kind": ["generation"], "checkpoint": ["main"], "method": [None],
         "train_task": [None], "setting": [None], "dataset": ["x"], "format": ["io"], "shots": [0]}
    )  # fmt: skip
    arms = pl.DataFrame(
        {"checkpoint": ["step1", "main", "main", "main"], "method": ["full"] * 4,
         "train_task": ["nli"] * 4, "setting": [None] * 4, "learned": [True, False, False, None],
         "training": ["learned", "constant", "behind", None]}
    )  # fmt: skip
    flagged = cells.drop("main", "kind").clear().with_columns(flag=pl.lit(""), index=0)
    notes = pl.DataFrame(
        {"checkpoint": ["main"] * 2, "arm": ["base", "full.nli.s0"], "dataset": ["rte"] * 2,
         "chosen_without_gold": [0.2, 0.0]}
    )  # fmt: skip
    first, failed, label = doubts(
        {"cells": cells, "suspicious": flagged, "arms": arms, "notes": notes}
    )
    assert first.more == {"failed": 2, "trained": 3} and first.count == 0
    assert (failed.kind, failed.count, failed.of) == ("failed", 2, 3)
    [group] = failed.more["groups"]
    assert (group["failed"], group["of"], group["checkpoints"]) == (2, 3, ["main"])
    assert group["why"] == ["behind", "constant"]
    assert (label.verdict, label.count, label.names) == ("label without gold", 1, ("rte",))


def test_what_jobs_noted_is_read(tmp_path):
    write_cells_record(
        {"rte.io.4shot.parquet": "k", "x.io.0shot.parquet": "l"},
        tmp_path / "main/full.nli.lr0.1.s0.json",
        notes={
            "rte.io.4shot.parquet": {"labels_without_gold": "maybe", "chosen_without_gold": "0.25"}
        },
    )
    [row] = read_notes(tmp_path).rows(named=True)
    assert row == {
        "checkpoint": "main", "arm": "full.nli.lr0.1.s0", "dataset": "rte", "format": "io",
        "shots": "4shot", "labels_without_gold": "maybe", "chosen_without_gold": 0.25,
        "scored_plainly": None,
    }  # fmt: skip
    trials = [
        {"way": "plain", "seconds": 4, "updates_per_second": 5.0, "difference": 0.0,
         "peak_bytes": 10, "dropped": None},
        {"way": "compiled", "seconds": None, "updates_per_second": None, "difference": None,
         "peak_bytes": None, "dropped": "fails: no compiler"},
    ]  # fmt: skip
    (tmp_path / "full.json").write_text(json.dumps({"way": "plain", "trials": trials}))
    plain, compiled = read_updates(tmp_path).rows(named=True)
    assert (plain["method"], plain["chosen"], plain["seconds"]) == ("full", True, 4.0)
    assert not compiled["chosen"] and compiled["dropped"] == "fails: no compiler"
    assert read_notes(None).is_empty() and read_updates(None).is_empty()


def test_a_row_of_a_table_tells_the_warnings_of_its_scores():
    score = {"checkpoint": "main", "dataset": "rte", "format": "io"}
    suspicious = pl.DataFrame(
        [
            {**score, "method": None, "train_task": None, "flag": "constant answer"},
            {**score, "method": "full", "train_task": "nli", "flag": "below chance"},
        ]
    )
    arms = pl.DataFrame(
        [{"checkpoint": "main", "method": "full", "train_task": "nli", "learned": False}]
    )
    told = Warnings(suspicious, arms)
    of = {"dataset": "rte", "format": "io"}
    assert told.of(Finding("taught", "base_rise", about=of)) == ["constant answer"]
    tuned = of | {"task": "nli", "method": "full", "checkpoint": "main"}
    assert told.of(Finding("added", "gain", about=tuned)) == [
        "constant answer", "below chance", FAILED
    ]  # fmt: skip
    assert told.of(Finding("added", "gain", about=tuned | {"method": "lora"})) == [
        "constant answer"
    ]
    assert told.of(Finding("added", "gain", about=tuned | {"checkpoint": "step1"})) == []
    # What failed as a chain's further link counts where chains are told.
    chain = Warnings(None, arms.with_columns(after=pl.lit("full.story.s0"), setting=pl.lit("2nd")))
    assert chain.of(Finding("added", "gain", about=tuned)) == []
    for setting in ("2nd", "then"):
        finding = Finding("spared", "spared", about=tuned | {"setting": setting})
        assert chain.of(finding) == [FAILED]
    assert told.of(Finding("forgotten", "direction", about={"direction": "a>b"})) == []
