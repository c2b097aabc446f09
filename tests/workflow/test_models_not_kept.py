"""A study with `keep_models: false`: models go when they are scored, all else is the same."""

import shutil
from itertools import accumulate

import polars as pl

from ptft.runtime.job_records import read_records
from tests.waiting import Stops

from .conftest import Clone
from .test_contracts import ARMS, CHECKS, DIGEST, DRAWN, TAIL, evaluations, finetunings, scored
from .test_recovery import kill_at_stop

RETOLD = ["Write the resolved study", "Write the report"]
RESULTS = "results/tiny"
ARM = "step4/full.pocket_nli.s0"
RECORD = f"{RESULTS}/state/scored/{ARM}.json"


def give_up_models(clone: Clone) -> None:
    clone.edit("study.yaml", "study: tiny", "study: tiny\nkeep_models: false")


def models(clone: Clone) -> list[str]:
    """Tuned models on disk, as CHECKPOINT/ARM."""
    folder = clone.root / RESULTS / "models"
    return sorted(f"{path.parent.parent.name}/{path.parent.name}"
                  for path in folder.glob("*/*/training.json"))  # fmt: skip


def tables(clone: Clone) -> dict[str, pl.DataFrame]:
    folder = clone.root / RESULTS / "tables"
    return {path.name: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


def told_of_training(clone: Clone) -> list[str]:
    """Findings on the examples that models were trained on."""
    table = pl.read_csv(clone.root / RESULTS / "tables/findings.csv")
    return table.filter(kind="trained")["sentence"].to_list()


def most_models_at_once(clone: Clone) -> int:
    """Of tuned models at a time, each from its training's begin to its evaluation's end."""
    moments = []
    for folder in (clone.root / RESULTS / "state/jobs/finetune_model").glob("*/*"):
        name = f"{folder.parent.name}/{folder.name}"
        (trained,) = read_records(folder)
        (scored,) = read_records(folder.parents[2] / "evaluate_model" / name)
        moments += [(trained.started, 1), (scored.ended, -1)]
    return max(accumulate(change for _, change in sorted(moments)))


def test_models_are_gone_and_all_tables_the_same(finished):
    kept, told = tables(finished), told_of_training(finished)
    assert len(models(finished)) == 4 and len(told) >= 2
    give_up_models(finished)
    for made in ("models", "evaluations", "state/cells", "state/scored", "state/jobs"):
        shutil.rmtree(finished.root / RESULTS / made)
    finished.snakemake()
    assert models(finished) == [] and not list(finished.root.glob("results/*/models/*/*"))
    again = tables(finished)
    assert again.keys() == kept.keys()
    assert all(again[name].equals(kept[name]) for name in kept)
    assert told_of_training(finished) == told
    assert most_models_at_once(finished) == 2  # as many as run on two cores
    records = finished.root / RESULTS / "state/trained" / ARM
    assert {path.name for path in records.iterdir()} == {"training.json", "curve.parquet"}
    assert not list((finished.root / RESULTS / "state/finetune").glob("*/*"))

    output = finished.snakemake("-n")
    assert finished.messages(output) == [] and "nothing would run" in output
    # Whoever keeps models from now on trains nothing for it.
    finished.edit("study.yaml", "keep_models: false", "keep_models: true")
    assert finished.planned() == sorted(RETOLD)
    finished.edit("study.yaml", "keep_models: true", "keep_models: false")
    an_edit_of_an_arm(finished)
    new_data(finished)


def new_data(clone: Clone) -> None:
    """A new dataset trains all models again; their other cells are in the store."""
    clone.edit("study.yaml", "pocket_facts]", "pocket_facts, pocket_stories]")
    output = clone.snakemake("-n")
    new = [
        "Prepare pocket_stories (test)",
        "Prepare pocket_stories (shots)",
        *scored("stories"),
        CHECKS,
        DIGEST,
    ]
    resolved = "Write the resolved study"
    assert clone.messages(output) == sorted(
        [*new, *finetunings(ARMS[1:]), *evaluations(), *TAIL, *DRAWN, resolved]
    )
    assert clone.stages(output)["cells"] == 6 * 2
    assert "4 models were deleted (keep_models: false): trained again" in output
    assert "each fine-tuned model that is there at a time (keep_models: false)" in output
    assert "estimated from 10 finished jobs of this study" in output
    clone.snakemake(RECORD)
    *_, last = read_records(clone.root / RESULTS / "state/jobs/evaluate_model" / ARM)
    assert (last.cells, last.reused, last.status) == (20, 18, 0)
    assert models(clone) == []


def an_edit_of_an_arm(clone: Clone) -> None:
    """It is noticed although the models are gone, and trains that arm alone."""
    study = (clone.root / "study.yaml").read_text()
    clone.edit("study.yaml", "lr: 5.0e-4", "lr: 4.0e-4")
    arm = ["full.pocket_summary.s0"]
    output = clone.snakemake("-n")
    assert clone.messages(output) == sorted(
        [*finetunings(arm), *evaluations(arms=arm), *TAIL, *DRAWN, "Write the resolved study"]
    )
    assert clone.stages(output)["cells"] == 2 * 18 and "were deleted" not in output
    (clone.root / "study.yaml").write_text(study)


def test_a_killed_evaluation_keeps_its_model(finished, tmp_path):
    """Of a study that kept its models so far: they go one by one, when they are scored again."""
    give_up_models(finished)
    assert finished.planned() == sorted(RETOLD)
    results = finished.root / RESULTS
    shutil.rmtree(results / "state/cells")
    shutil.rmtree(results / "evaluations" / ARM)
    (finished.root / RECORD).unlink()
    stops = Stops(tmp_path / "stops", f"{results}/state/cells/*.parquet", nth=3)
    kill_at_stop(finished, stops, RECORD)
    assert len(models(finished)) == 4
    finished.snakemake(RECORD)
    trainings = read_records(results / "state/jobs/finetune_model" / ARM)
    assert len(trainings) == 1
    *_, last = read_records(results / "state/jobs/evaluate_model" / ARM)
    assert (last.cells, last.reused, last.status) == (18, 3, 0)
    assert len(models(finished)) == 3 and ARM not in models(finished)
    assert (results / "state/trained" / ARM / "training.json").exists()
