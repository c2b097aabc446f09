"""Which examples are shown, from answers made by hand."""

import polars as pl
from score_tables import cell

from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.examples import DRAWN, compared_models, pick_examples, with_logprobs
from ptft.analysis.settings import Settings

BASE = ("base", None, None, None, None)
FULL = ("full.nli.s0", "full", "nli", 0, None)
LORA = ("lora.nli.s0", "lora", "nli", 0, None)


def cells(arms, checkpoints=("step10",), formats=("default",), dataset="quiz", kind="x", shots=0):
    """A cells table, a row a cell."""
    names = ["arm", "method", "train_task", "seed", "derived"]
    rows = [
        cell(
            **dict(zip(names, arm, strict=True)), checkpoint=checkpoint, dataset=dataset, kind=kind,
            step=None if checkpoint == "main" else int(checkpoint[4:]), format=name, shots=shots,
        )
        for checkpoint in checkpoints
        for arm in arms
        for name in formats
    ]  # fmt: skip
    return pl.DataFrame(rows, CELLS_SCHEMA)


def written(*arms, checkpoint="step10", chosen=()):
    """The table of the fine-tuned models."""
    rows = [
        {"checkpoint": checkpoint, "arm": a, "chosen": (a in chosen) if chosen else None}
        for a in arms
    ]
    return pl.DataFrame(rows, schema={"checkpoint": str, "arm": str, "chosen": bool})


def answers(scores, logprobs=None):
    """A model's answers to examples e0, e1, …: their scores, and the gold log-probabilities."""
    n = len(scores)
    frame = pl.DataFrame(
        {
            "example_id": [f"e{i}" for i in range(n)],
            "prediction": ["0"] * n,
            "gold": ["0"] * n,
            "score": scores,
            "logprobs": [[value] for value in logprobs] if logprobs else [None] * n,
            "truncated": [False] * n,
        },
        schema_overrides={"logprobs": pl.List(pl.Float64)},
    )
    return with_logprobs(frame)


def pick(table, arms, read, seed=0, settings=None):
    """Picks and counts, of models whose answers are by (checkpoint, arm, format)."""
    return pick_examples(
        table,
        arms,
        settings or Settings(),
        lambda dataset, shots: lambda *cell: read.get(cell),
        seed,
    )


def ids(picked, group):
    return [p.example_id for p in picked.picks if p.group == group]


def test_learned_and_forgotten_are_right_in_one_model_alone():
    read = {
        ("step10", "base", "default"): answers([0.0, 1.0, 1.0, 0.0, 0.0]),
        ("step10", "full.nli.s0", "default"): answers([1.0, 0.0, 1.0, 0.0, 1.0]),
    }
    picked = pick(cells([BASE, FULL]), written("full.nli.s0"), read)
    assert sorted(ids(picked, "learned")) == ["e0", "e4"]
    assert ids(picked, "forgotten") == ["e1"]
    assert picked.counts["learned", "nli", "step10", "quiz"] == 2
    [forgotten] = [p for p in picked.picks if p.group == "forgotten"]
    assert [(arm, name) for arm, name, _ in forgotten.answers] == [
        ("base", "default"),
        ("full.nli.s0", "default"),
    ]
    assert [answer["score"] for *_, answer in forgotten.answers] == [1.0, 0.0]
    assert ids(picked, "format") == []


def test_a_generation_counts_as_changed_from_the_margin_on():
    read = {
        ("step10", "base", "default"): answers([0.125, 0.125, 0.5, 0.75]),
        ("step10", "full.nli.s0", "default"): answers([0.5, 0.375, 0.5, 0.25]),
    }
    picked = pick(cells([BASE, FULL]), written("full.nli.s0"), read)
    assert ids(picked, "learned") == ["e0"] and ids(picked, "forgotten") == ["e3"]


def test_another_format_that_changes_an_answer():
    read = {
        ("step10", "base", "default"): answers([1.0, 1.0, 0.0, 1.0]),
        ("step10", "full.nli.s0", "default"): answers([0.0, 1.0, 0.0, 0.0]),
        ("step10", "full.nli.s0", "io"): answers([0.0, 0.0, 1.0, 0.0]),
    }
    table = cells([BASE, FULL], formats=("default", "io"))
    picked = pick(table, written("full.nli.s0"), read)
    assert sorted(ids(picked, "format")) == ["e1", "e2"]
    first = next(p for p in picked.picks if p.group == "format")
    assert [a[:2] for a in first.answers][1:] == [
        ("full.nli.s0", "default"),
        ("full.nli.s0", "io"),
    ]


def test_every_model_answers_the_same_examples_and_its_probabilities_are_told():
    read = {
        ("step10", arm, "default"): answers([1.0] * 4, [-at - 1.0, -2.0, -3.0, -4.0])
        for at, arm in enumerate(("base", "full.nli.s0", "lora.nli.s0"))
    }
    picked = pick(cells([BASE, FULL, LORA]), written("full.nli.s0", "lora.nli.s0"), read)
    sample = picked.samples["quiz"]
    assert {arm for _, arm in sample} == {"base", "full.nli.s0", "lora.nli.s0"}
    orders = [[row["example_id"] for row in rows] for rows in sample.values()]
    assert orders[0] == orders[1] == orders[2]
    lora = {row["example_id"]: row for row in sample["step10", "lora.nli.s0"]}
    assert lora["e0"]["gold_logprob"] == lora["e0"]["prediction_logprob"] == -3.0


def many(checkpoints):
    """100 examples that every checkpoint's tuned model has learned."""
    models = (("base", [0.0] * 100), ("full.nli.s0", [1.0] * 100))
    return {(c, arm, "default"): answers(scores) for c in checkpoints for arm, scores in models}


def test_a_seed_draws_the_same_again_and_another_one_others():
    table, arms = cells([BASE, FULL]), written("full.nli.s0")
    drawn = [ids(pick(table, arms, many(["step10"]), seed), "learned") for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(each)) == DRAWN for each in drawn)
    # The order of a file's rows is not that of the draw.
    reversed_rows = {k: a.reverse() for k, a in many(["step10"]).items()}
    assert ids(pick(table, arms, reversed_rows, 1), "learned") == drawn[0]


def test_checkpoints_take_turns_and_none_shows_an_example_again():
    checkpoints = ("step10", "step20", "step30")
    picked = pick(cells([BASE, FULL], checkpoints), written("full.nli.s0"), many(checkpoints))
    learned = [p for p in picked.picks if p.group == "learned"]
    shown = sorted([p.checkpoint for p in learned].count(c) for c in checkpoints)
    assert shown == [3, 3, 4] and len({p.example_id for p in learned}) == DRAWN
    assert sum(n for (group, *_), n in picked.counts.items() if group == "learned") == 300


def test_examples_that_one_model_lacks_are_passed_over():
    other = answers([1.0, 1.0, 1.0])
    read = {
        ("step10", "base", "default"): answers([0.0, 0.0, 0.0]),
        ("step10", "full.nli.s0", "default"): other[1:],
        ("step10", "lora.nli.s0", "default"): answers([0.0, 1.0, 0.0]),
    }
    picked = pick(cells([BASE, FULL, LORA]), written("full.nli.s0", "lora.nli.s0"), read)
    assert sorted(ids(picked, "learned")) == ["e1", "e2"]


def test_which_model_of_a_task_is_shown_and_which_beside_it():
    arms = [
        BASE,
        ("full.nli.lr1.s0", "full", "nli", 0, None),
        ("full.nli.lr2.s0", "full", "nli", 0, None),
        ("full.nli.lr2.s1", "full", "nli", 1, None),
        LORA,
        ("full.nli.lr2.s0@interpolate0.5", "full", "nli", 0, "interpolate"),
        ("base@noise0.1", None, None, None, "noise"),
        ("lora.story.s3", "lora", "story", 3, None),
        ("lora.story.r8.s3", "lora", "story", 3, None),
    ]
    order = [arm[0] for arm in arms if arm[1] and not arm[4]]
    [nli, story] = compared_models(cells(arms), written(*order))
    assert (nli.task, nli.shown) == ("nli", "full.nli.lr1.s0")
    others = ["full.nli.lr2.s0", "lora.nli.s0", "full.nli.lr2.s0@interpolate0.5"]
    assert nli.arms == [nli.shown, *others] and story.shown == "lora.story.s3"
    chosen = ("full.nli.lr2.s0", "full.nli.lr2.s1", "lora.nli.s0")
    [nli, _] = compared_models(cells(arms), written(*order, chosen=chosen))
    assert nli.shown == "full.nli.lr2.s0"
