"""Wins, losses and ties of two tuned models, counted by hand."""

from pathlib import Path

import polars as pl

from ptft.analysis.model_pairs import COUNTS, MODEL, ModelPairs, paired_wins
from ptft.analysis.tuned_models import CHOSEN
from ptft.paths import cell_path

CELL = ("quiz", "default", 0)
# (checkpoint, arm, method, setting) -> example -> score
FILES = {
    ("step1", "full.t.lr1.s0", "lr1"): {"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.5},
    # The same examples in another order: a falls, b rises, c is the same, d rises.
    ("step2", "full.t.lr1.s0", "lr1"): {"d": 0.6, "c": 1.0, "b": 1.0, "a": 0.0},
    # A second seed, against step1: a, c and d fall, b is the same.
    ("step2", "full.t.lr1.s1", "lr1"): {"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0},
    # Another setting answered one of the examples, and one that no other did.
    ("step1", "full.t.lr2.s0", "lr2"): {"a": 0.0, "e": 1.0},
}
TUNED = [("step1", "lr1"), ("step2", "lr1"), ("step1", "lr2"), ("step1", CHOSEN)]


def study(folder: Path):
    """The models, and their files."""
    for (checkpoint, arm, _), scores in FILES.items():
        file = Path(cell_path(folder, checkpoint, arm, *CELL))
        file.parent.mkdir(parents=True, exist_ok=True)
        frame = pl.DataFrame({"example_id": list(scores), "score": list(scores.values())})
        frame.write_parquet(file)
    of_model = dict.fromkeys(MODEL, pl.String) | {"strength": pl.Float64}
    rows = [(step, "full", "t", setting, None, None) for step, setting in TUNED]
    tuned = pl.DataFrame(rows, of_model, orient="row").with_row_index("model")
    tuned = tuned.with_columns(dataset=pl.lit(CELL[0]), format=pl.lit(CELL[1]), shots=CELL[2])
    pairs = pl.DataFrame({"first": [0, 0, 2, 1], "second": [1, 2, 3, 3], "ci_low": [0.5] * 4})
    cells = pl.DataFrame(
        [(step, "full", "t", setting, None, None, arm) for step, arm, setting in FILES],
        of_model | {"arm": pl.String},
        orient="row",
    )
    # Validation chooses lr1 at the first checkpoint.
    arms = cells.unique(["checkpoint", "setting"]).with_columns(chosen=pl.col("setting") == "lr1")
    return ModelPairs(tuned, pairs), cells, arms


def counted(pairs: pl.DataFrame):
    return pairs.select("first", "second", *COUNTS).rows()


def test_examples_are_paired_by_their_ids_and_seeds_averaged(tmp_path):
    found, cells, arms = study(tmp_path)
    pairs = paired_wins(found, cells, tmp_path, arms)
    assert pairs["ci_low"].to_list() == [0.5] * 4
    assert counted(pairs) == [
        # Step 1 wins on a, loses on b and d; against the second seed wins on a, c, d: 1 and 3.
        (0, 1, 4.0, 2.0, 1.0),
        (0, 2, 1.0, 1.0, 0.0),
        # What is chosen at step 1 is model 0.
        (2, 3, 1.0, 0.0, 1.0),
        (1, 3, 4.0, 1.0, 2.0),
    ]


def test_without_files_nothing_is_counted(tmp_path):
    found, cells, arms = study(tmp_path)
    pairs = paired_wins(found, cells, tmp_path / "none", arms)
    assert counted(pairs) == [(*pair[:2], None, None, None) for pair in counted(pairs)]
    none = ModelPairs(found.tuned, pl.DataFrame())
    assert paired_wins(none, cells, tmp_path).is_empty()


def test_settings_as_they_are_can_be_the_chosen_ones(tmp_path):
    found, cells, arms = study(tmp_path)
    as_is = pl.col("setting").replace("lr1", None)
    pairs = paired_wins(
        ModelPairs(found.tuned.with_columns(as_is), found.pairs),
        cells.with_columns(as_is),
        tmp_path,
        arms.with_columns(as_is),
    )
    assert counted(pairs)[2:] == [(2, 3, 1.0, 0.0, 1.0), (1, 3, 4.0, 1.0, 2.0)]
