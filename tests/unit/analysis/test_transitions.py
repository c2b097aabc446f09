"""Learned and forgotten shares without what guessing moves, of models whose guesses are planted."""

import numpy as np
import polars as pl
import pytest
from score_tables import pick
from synthetic_scores import study_slice

from ptft.analysis.collect import collect
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.analysis.tables.forgetting import moved_by_guessing
from ptft.paths import cell_path

CHOICES, N = 4, 2000
CHANCE = 1 / CHOICES
# Share of the examples that base and tuned model know, the first ones.
KNOWN = {"step10": (0.0, 0.0), "step100": (0.4, 0.4), "main": (0.4, 0.7)}


def test_what_guessing_moves_by_hand():
    chance = np.array([0.25])
    # All is guessed: .25 of .75 each way, if as many are seen to move.
    assert moved_by_guessing(0.3, 0.25, 0.25, chance) == pytest.approx(0.1875)
    assert moved_by_guessing(0.1, 0.25, 0.25, chance) == pytest.approx(0.1)
    assert moved_by_guessing(0.3, 0.1, 0.1, chance) == pytest.approx(0.1875)  # below chance
    # The better one guesses (1 - .85) / .75 = .2 of the examples: .2 * .25 * .75.
    assert moved_by_guessing(0.5, 0.4, 0.85, chance) == pytest.approx(0.0375)
    assert moved_by_guessing(0.5, 0.1, 0.6, chance) == pytest.approx(0.0, abs=1e-12)  # none is lost
    assert np.isnan(moved_by_guessing(0.5, 0.4, 0.8, np.array([np.nan])))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Of models that know what ``KNOWN`` says and draw the other answers."""
    folder, rng = tmp_path_factory.mktemp("guessers"), np.random.default_rng(3)
    study = study_slice(formats=("default",))
    about = study["datasets"]["quiz"]
    study |= {"datasets": {"quiz": about}, "scores": [["quiz", "default", 4]]}
    study["arms"] = {arm: study["arms"][arm] for arm in ("base", "full.nli.s0")}
    gold = rng.integers(0, CHOICES, N)
    for checkpoint, shares in KNOWN.items():
        for arm, share in zip(study["arms"], shares, strict=True):
            known = np.arange(N) < share * N
            answer = np.where(known, gold, rng.integers(0, CHOICES, N))
            path = cell_path(folder, checkpoint, arm, "quiz", "default", 4)
            frame = pl.DataFrame(
                {
                    "example_id": [str(i) for i in range(N)],
                    "prediction": answer.astype(str),
                    "gold": gold.astype(str),
                    "score": (answer == gold).astype(float),
                    "logprobs": [[-1.0] * CHOICES] * N,
                    "prompt_tokens": [10] * N,
                    "truncated": [False] * N,
                }
            )
            (folder / checkpoint / arm).mkdir(parents=True, exist_ok=True)
            frame.write_parquet(path)
    collected = collect(study, folder)
    scores = Scores.build(collected.cells, collected.replicates)
    return make_table("transitions", scores, Settings())


def test_who_guesses_before_and_after_has_learned_nothing(table):
    row = pick(table, checkpoint="step10")
    for raw, share in (("gained", "learned"), ("lost", "forgotten")):
        assert row[raw] == pytest.approx(CHANCE * (1 - CHANCE), abs=0.02)
        assert row[share] == pytest.approx(0, abs=0.03)
        assert row[f"{share}_ci_low"] <= 0.005 and row[f"{share}_ci_high"] < 0.06


def test_what_both_know_is_no_guess(table):
    row = pick(table, checkpoint="step100")
    assert row["gained"] == pytest.approx(0.6 * CHANCE * (1 - CHANCE), abs=0.02)
    assert row["learned"] == pytest.approx(0, abs=0.03)
    assert row["forgotten"] == pytest.approx(0, abs=0.03)


def test_what_is_learned_stays(table):
    row = pick(table, checkpoint="main")
    # Of the .3 that are learned a quarter was guessed right before; of the last .3 all are guesses.
    assert row["guessed"] == pytest.approx(0.3 * CHANCE * (1 - CHANCE), abs=0.02)
    assert row["learned"] == pytest.approx(0.3 * (1 - CHANCE), abs=0.03)
    assert row["learned_ci_low"] < 0.3 * (1 - CHANCE) < row["learned_ci_high"]
    assert row["forgotten"] == pytest.approx(0, abs=0.02)
    assert row["learned"] - row["forgotten"] == pytest.approx(row["net"])
