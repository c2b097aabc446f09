"""Sentences on the study itself: deviations from the paper, sources, checks, sweeps."""

import copy
import json

import polars as pl
import pytest
import yaml

from ptft.analysis.findings_of_study import (
    TRAINED,
    deviations,
    provenance,
    read_trained,
    run,
    sweeps,
)
from ptft.report.rendering import sentence
from ptft.study import open_study
from ptft.study.slices import resolved_study

# Nothing is known of what models were trained on.
NONE = pl.DataFrame(schema=TRAINED)


@pytest.fixture
def resolved(repository, monkeypatch):
    """Name of a study of config/ -> what is in its ``study.yaml``."""
    monkeypatch.chdir(repository)

    def read(name):
        file = repository / f"config/{name}.yaml"
        grid = open_study(yaml.safe_load(file.read_text()), [file])
        return copy.deepcopy(grid.resolved if grid.finished else resolved_study(grid))

    return read


def kinds(found):
    return [finding.kind.removeprefix("differs_") for finding in found]


def said(found):
    return [sentence(finding) for finding in found]


def test_the_papers_study_differs_only_where_the_release_is_wrong(resolved):
    found = deviations(resolved("olmo-1b"), NONE)
    assert kinds(found) == [
        *("labelled", "shot_rows", "first_token", "failed_generation", "groups", "sciq"),
    ]
    assert found[0].names == ("qqp", "stsb")


def test_hidden_labels_and_missing_datasets_are_not_claimed(resolved):
    study = resolved("olmo-1b")
    study["families"]["paraphrase"]["datasets"]["qqp"]["splits"]["test"] = "test"
    study["study"]["evaluate"]["datasets"] = ["qqp", "stsb"]
    study["study"]["evaluate"]["shots"] = [0]
    study["study"]["evaluate"]["family_shots"] = {}
    found = deviations(study, NONE)
    assert kinds(found) == ["labelled", "shots", "first_token", "groups"]
    assert found[0].names == ("stsb",)


def test_what_a_user_changes_is_told(resolved):
    study = resolved("olmo-1b")
    study["study"]["checkpoints"] = ["step1000", "main"]
    study["study"]["finetune"]["full"]["tasks"]["paws"] = {"lr": 1e-5, "kl": 0.1}
    study["study"]["finetune"]["full"]["settings"] |= {"freeze": 2, "l2sp": 0.0}
    study["study"]["finetune"]["full"]["seeds"] = [0, 1, 2]
    study["study"]["data"]["train"] = 2000
    study["study"]["bootstrap"]["resamples"] = 500
    told = said(deviations(study, NONE))
    assert told[0].startswith("The checkpoints are step1000, main; the paper's step1000")
    assert told[1:5] == [
        "full on paws: lr 1e-05; the paper lr 2e-06.",
        "3 training seeds; the paper has one.",
        "The paper does not have the settings kl, freeze.",
        "Training examples per task: at most 2000; the paper uses 6000.",
    ]
    assert "500 resamples for the intervals; the paper takes 3000." in told


def test_examples_are_those_trained_on_and_not_those_asked_for(resolved, tmp_path):
    study = resolved("olmo-1b")
    assert study["study"]["data"]["train"] == 6000
    noted = {"train_examples": 60, "validation_examples": 6, "dropped_examples": ["a"]}
    for checkpoint in ("step1000", "main"):
        for arm in ("full.mnli.s0", "full.mnli.s1", "full.paws.s0"):
            folder = tmp_path / checkpoint / arm
            folder.mkdir(parents=True)
            whole = noted if "mnli" in arm else noted | {"train_examples": 6000}
            (folder / "training.json").write_text(json.dumps(whole))
    on_the_way = tmp_path / "main/full.mnli.s0@step50"
    on_the_way.mkdir()
    (on_the_way / "training.json").write_text(json.dumps({"snapshot": 50, "steps": 50}))
    trained = read_trained(tmp_path / "gone", tmp_path)
    assert trained.rows() == [("full.mnli", 60, 6, 1), ("full.paws", 6000, 6, 1)]
    told = "Training examples: full.mnli 60, full.paws 6000; the paper uses 6000 per task."
    assert told in said(deviations(study, trained))


def test_provenance(resolved):
    study = resolved("olmo-1b")
    text = " ".join(said(provenance(study)))
    assert "Model olmo-1b from allenai/OLMo-1B-hf on the Hub." in text
    assert "Seeds: data 42, shots 0, training 0, resampling 0." in text
    import polars
    import transformers

    assert f"transformers {transformers.__version__}" in text
    assert f"polars {polars.__version__}" in text
    pocket = " ".join(said(provenance(resolved("pocket"))))
    assert "Model pocket, pre-trained here (world seed 0, version" in pocket
    assert kinds(provenance(resolved("published"))) == ["study", "not_run", "software"]


def test_generic_text_counts_by_itself_in_the_size_of_a_study():
    rows = {
        "model": "m", "checkpoint": "a", "step": 1, "tokens": 7, "method": "full",
        "train_task": "t", "seed": 0, "arm": "full.t.s0", "derived": None, "n": 7,
        "truncated": 0.0, "main": True,
    }  # fmt: skip
    cells = pl.DataFrame(
        [
            rows | {"dataset": "quiz", "kind": "multiple_choice", "format": "io", "shots": 4},
            rows | {"dataset": "news", "kind": "text", "format": "default", "shots": 0},
        ]
    )
    found = run({"cells": cells}, missing=3)
    assert (found.count, found.names, found.condition.formats) == (1, ("quiz",), ("io",))
    assert (found.more["texts"], found.more["answers"]) == (["news"], 7)
    assert "3 scores of the study are missing" in sentence(found)


def models(chosen, at_edge=(False, False)):
    """Two settings at one checkpoint, beside a method that is not swept."""
    return pl.DataFrame(
        {
            "checkpoint": ["main"] * 3,
            "method": ["full", "full", "lora"],
            "train_task": ["nli"] * 3,
            "setting": ["lr1e-05", "lr1e-06", None],
            "chosen": [*chosen, None],
            "at_edge": [*at_edge, None],
        },
        schema_overrides={"chosen": pl.Boolean, "at_edge": pl.Boolean},
    )


def test_sweeps_are_named_and_which_setting_is_told_of():
    [found] = sweeps(models([False, True]))
    assert (found.verdict, found.of) == ("chosen", 2)
    assert sentence(found).startswith("full is swept over 2 settings (lr1e-05, lr1e-06). This page")
    [found] = sweeps(models([None, None], [None, None]))
    assert "about lr1e-05, the first, because" in sentence(found)
    arms = models([None, None], [None, None]).filter(method="full")
    arms = arms.with_columns(setting=pl.Series([None, "share0.1"], dtype=pl.String))
    [found] = sweeps(arms)
    assert "2 settings (as it is, share0.1)" in sentence(found)
    assert "about as it is, the first" in sentence(found)
    _, edge = sweeps(models([False, True], [False, True]))
    assert (edge.count, edge.of) == (1, 1) and "full nli main (lr1e-06)." in sentence(edge)
    assert [*sweeps(models([False, True]).filter(method="lora"))] == [*sweeps(None)] == []
