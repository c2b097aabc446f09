"""An evaluation that scores arms derived from its model: their cells, keys and records."""

import polars as pl
import pytest
import torch
from slice_files import slice_file
from tiny import LABELS, TEMPLATE, save_tiny_checkpoint, tiny_rows, write_rows

import evaluate_model
from ptft.evaluation.records import recorded_cells
from ptft.models.loading import load_model

CELL = "words.default.0shot.parquet"


def spec(derivation, strength, seed=0):
    return {"derivation": derivation, "version": 1, "strength": strength, "seed": seed}


@pytest.fixture
def study(tmp_path):
    """A checkpoint, a model and an adapter of it, a dataset, and what runs the program."""
    from peft import LoraConfig, get_peft_model

    checkpoint = save_tiny_checkpoint(tmp_path / "step4")
    tokenizer = (checkpoint / "tokenizer.json").read_bytes()
    torch.manual_seed(1)
    model = load_model(checkpoint)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    model.save_pretrained(tmp_path / "full")
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(load_model(checkpoint), config).save_pretrained(tmp_path / "lora")
    for name in ("full", "lora"):
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (tmp_path / name / file).write_bytes((checkpoint / file).read_bytes())
    assert tokenizer
    (tmp_path / "data/words").mkdir(parents=True)
    write_rows(tiny_rows(12), tmp_path / "data/words/test.jsonl")
    scoring = {
        "kind": "classification",
        "labels": LABELS,
        "formats": {"default": TEMPLATE},
        "shots": [0],
    }

    def run(arm, **derived):
        plan = {"datasets": {"words": scoring}, "shots_seed": 0, "scoring_version": 1}
        plan |= {"derived": derived} if derived else {}
        folder = tmp_path / ("step4" if arm == "base" else arm)
        arguments = {
            "model": folder,
            "checkpoint": checkpoint,
            "data": tmp_path / "data",
            "plan": slice_file(tmp_path / "plan.json", plan),
            "store": tmp_path / "store",
            "record": tmp_path / f"scored/step4/{arm}.json",
            "output": tmp_path / f"evaluations/step4/{arm}",
        }
        options = [str(part) for key, value in arguments.items() for part in (f"--{key}", value)]
        return evaluate_model.main(options)

    return tmp_path, run


def cell(folder, arm):
    return pl.read_parquet(folder / f"evaluations/step4/{arm}" / CELL)


def test_both_ends_of_an_interpolation_are_the_checkpoint_and_the_model(study):
    folder, run = study
    assert run("base") == 0
    for arm in ("full", "lora"):
        ends = {f"{arm}@{a}": spec("interpolate", a) for a in (0.0, 0.5, 1.0)}
        assert run(arm, **ends) == 0
        base, half, tuned = (cell(folder, f"{arm}@{a}") for a in (0.0, 0.5, 1.0))
        assert base.equals(cell(folder, "base"))
        assert tuned.equals(cell(folder, arm))
        scores = [table["logprobs"].explode().to_numpy() for table in (base, half, tuned)]
        assert abs(scores[1] - scores[0]).max() > 0.01 < abs(scores[1] - scores[2]).max()


def test_a_new_strength_computes_its_own_cells_alone(study):
    folder, run = study
    weak = {"base@noise0.01": spec("noise", 0.01)}
    assert run("base", **weak) == 0
    before = {file.name: file.stat().st_ino for file in (folder / "store").glob("*.parquet")}
    assert len(before) == 2
    own = (folder / "scored/step4/base.json").stat().st_mtime_ns
    other = (folder / "scored/step4/base@noise0.01.json").stat().st_mtime_ns
    assert other <= own  # the record that Snakemake knows comes last
    strong = {"base@noise0.3": spec("noise", 0.3), "base@noise0.3.s1": spec("noise", 0.3, 1)}
    assert run("base", **weak, **strong) == 0
    after = {file.name: file.stat().st_ino for file in (folder / "store").glob("*.parquet")}
    assert before.items() <= after.items() and len(after) == 4
    tables = [cell(folder, name) for name in ("base", *weak, *strong)]
    assert not any(one.equals(other) for one in tables for other in tables if one is not other)
    # Scored alone they are the same: weights are read again for each.
    record = recorded_cells(folder / "scored/step4/base@noise0.01.json")
    (folder / "store" / f"{record[CELL]}.parquet").unlink()
    assert run("base", **weak) == 0
    assert cell(folder, "base@noise0.01").equals(tables[1])


def test_the_checkpoint_is_part_of_an_interpolated_cells_key(study):
    folder, run = study
    half = {"full@interpolate0.5": spec("interpolate", 0.5)}
    noisy = {"full@noise0.1": spec("noise", 0.1)}
    assert run("full", **half, **noisy) == 0
    before = len(list((folder / "store").glob("*.parquet")))
    assert before == 3
    save_tiny_checkpoint(folder / "step4", rope_theta=500.0)
    assert run("full", **half, **noisy) == 0
    assert len(list((folder / "store").glob("*.parquet"))) == before + 1


def test_cells_of_a_derived_arm_that_fail_are_named(study, capsys):
    folder, run = study
    assert run("base", **{"base@noise1e+30": spec("noise", 1e30)}) == 1
    assert "error: cell base@noise1e+30 words.default.0shot failed: " in capsys.readouterr().err
    assert not (folder / "scored/step4/base.json").exists()
    assert len(list((folder / "store").glob("*.parquet"))) == 1
