"""What the front page says of the study itself: deviations from the paper, and provenance."""

import copy
import json

import polars as pl
import pytest
import yaml

from ptft.audit.tables import PROMPT_COLUMNS, SPLIT_COLUMNS
from ptft.language.translation import translator
from ptft.report.deviations import deviations
from ptft.report.provenance import audit_summary, provenance
from ptft.report.trained import SCHEMA, read_trained
from ptft.study import read_study
from ptft.study.finished import read_finished
from ptft.study.slices import resolved_study

# Nothing is known of what models were trained on.
NONE = pl.DataFrame(schema=SCHEMA)


@pytest.fixture
def resolved(repository):
    """Name of a study of config/ -> what stands in its ``study.yaml``."""

    def read(name):
        file = repository / f"config/{name}.yaml"
        config = yaml.safe_load(file.read_text())
        if "published" in config:
            return read_finished(config, [file], repository / "config").resolved
        return copy.deepcopy(resolved_study(read_study(config, [file], repository / "config")))

    return read


def starts(lines):
    return [line.split(";")[0].split(":")[0] for line in lines]


def test_the_papers_study_differs_only_where_the_release_is_wrong(resolved):
    assert starts(deviations(resolved("olmo-1b"), NONE, str)) == [
        "``qqp``, ``stsb``",
        "Shots come from rows that are never evaluated",
        "A label is scored by its first sub-token",
        "A generation that fails stops the job",
        "Datasets are grouped into learned and not learned by a rule",
        "``sciq`` counts once in the mean of its group",
    ]


def test_hidden_labels_and_missing_datasets_are_not_claimed(resolved):
    study = resolved("olmo-1b")
    study["families"]["paraphrase"]["datasets"]["qqp"]["splits"]["test"] = "test"
    study["study"]["evaluate"]["datasets"] = ["qqp", "stsb"]
    study["study"]["evaluate"]["shots"] = [0]
    study["study"]["evaluate"]["family_shots"] = {}
    assert starts(deviations(study, NONE, str)) == [
        "``stsb``",
        "Shots",
        "A label is scored by its first sub-token",
        "Datasets are grouped into learned and not learned by a rule",
    ]


def test_what_a_user_changes_is_told(resolved):
    study = resolved("olmo-1b")
    study["study"]["checkpoints"] = ["step1000", "main"]
    study["study"]["finetune"]["full"]["tasks"]["paws"] = {"lr": 1e-5, "kl": 0.1}
    study["study"]["finetune"]["full"]["settings"] |= {"freeze": 2, "l2sp": 0.0}
    study["study"]["finetune"]["full"]["seeds"] = [0, 1, 2]
    study["study"]["data"]["train"] = 2000
    study["study"]["bootstrap"]["resamples"] = 500
    told = deviations(study, NONE, str)
    assert told[0].startswith(
        "The checkpoints are ``step1000``, ``main``; the paper's ``step1000``"
    )
    assert told[1:5] == [
        "full on ``paws``: lr 1e-05; the paper lr 2e-06.",
        "3 training seeds; the paper has one.",
        "The paper does not have the settings ``kl``, ``freeze``.",
        "Training examples per task: at most 2000; the paper uses 6000.",
    ]
    assert "500 resamples for the intervals; the paper takes 3000." in told


def test_another_model(resolved):
    told = deviations(resolved("pythia-410m"), NONE, str)
    assert told[:5] == [
        "The model is ``pythia-410m``; the paper's are OLMo-1B and, at its last checkpoint only, "
        "Llama-3-8B.",
        "The tasks are ``mnli``, ``paws``, ``socialiqa``; the paper's ``mnli``, ``paws``, "
        "``xsum``, ``socialiqa``, ``tulu``.",
        "The paper does not have the methods ``lora``.",
        "3 training seeds; the paper has one.",
        "At most 2000 examples of each test set are scored.",
    ]
    assert "Shots: 0, 4; the paper 4." in told


def test_released_scores_keep_their_defects(resolved):
    told = starts(deviations(resolved("published"), NONE, str))
    assert told[0].startswith("The scores are the paper's own")
    assert told[1:] == [
        "Datasets are grouped into learned and not learned by a rule",
        "``sciq`` counts once in the mean of its group",
    ]


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
    trained = read_trained(tmp_path)
    assert trained.rows() == [("full.mnli", 60, 6, 1), ("full.paws", 6000, 6, 1)]
    told = "Training examples: full.mnli 60, full.paws 6000; the paper uses 6000 per task."
    assert told in deviations(study, trained, str)
    study["study"]["data"]["train"] = 4000
    asked = "Training examples per task: at most 4000; the paper uses 6000."
    assert asked in deviations(study, read_trained(tmp_path / "gone"), str)


def test_provenance_of_a_fetched_study(resolved):
    study = resolved("olmo-1b")
    pin = {"repository": "allenai/OLMo-1B-hf", "revision": "main", "commit": "abc123"}
    study["fetched"] = {"resources/models/olmo-1b/main.pin.json": pin}
    text = "\n".join(provenance(study, str))
    assert "Model ``olmo-1b`` from ``allenai/OLMo-1B-hf`` on the Hub." in text
    assert "Seeds: data 42, shots 0, training 0, resampling 0." in text
    assert "   resources/models/olmo-1b/main, allenai/OLMo-1B-hf, main, abc123" in text
    import polars
    import transformers

    assert f"transformers {transformers.__version__}" in text
    assert f"polars {polars.__version__}" in text


def test_provenance_of_other_sources(resolved):
    pocket = "\n".join(provenance(resolved("pocket"), str))
    assert "Model ``pocket``, pre-trained here (world seed 0, version" in pocket
    assert "csv-table" not in pocket  # nothing was fetched
    released = "\n".join(provenance(resolved("published"), str))
    assert "   all_perf_table.csv, 7996bca9ab8b5251892a6658297909d2d19f8210f6fa9785404d" in released
    assert "Seeds" not in released and "Versions of data" not in released


def test_audit_summary():
    empty = dict.fromkeys(SPLIT_COLUMNS, 0) | {"source": "s", "gold": "", "warning": ""}
    splits = pl.DataFrame(
        [
            empty | {"dataset": "a", "split": "train", "rows": 900, "kept": 900, "used": 100,
                     "dropped": "", "largest_share": 0.5},
            empty | {"dataset": "a", "split": "test", "rows": 1200, "kept": 1190, "used": 50,
                     "dropped": "no gold label 7, empty 3", "largest_share": 0.625,
                     "warning": "2 evaluated rows are also training rows"},
        ],
        SPLIT_COLUMNS, strict=False,
    )  # fmt: skip
    empty = dict.fromkeys(PROMPT_COLUMNS, 0) | {"format": "io", "prompts": 50}
    prompts = pl.DataFrame(
        [empty | {"dataset": "a", "truncated": 4}, empty | {"dataset": "b"}],
        PROMPT_COLUMNS,
        strict=False,
    )
    trained = pl.DataFrame([("full.nli", 199, 0, 1)], schema=SCHEMA, orient="row")
    text = "\n".join(audit_summary(splits, prompts, trained, str))
    assert "2 splits hold 2,100 rows; 10 of them were dropped, 150 drawn." in text
    assert "4 of 100 prompts did not fit the context" in text and "field: ``a`` (" in text
    assert (
        r'   a, test, 1200, 50, "no gold label 7\, empty 3", 0.62, '
        "2 evaluated rows are also training rows" in text
    )
    assert (
        r"* full.nli is trained on 199 examples; 0 more are held out for validation, 1 dropped"
        in text
    )
    assert "a, train" not in text  # nothing to tell of it


@pytest.mark.parametrize("name", ["olmo-1b", "llama3-8b", "pythia-410m", "pocket", "published"])
def test_in_japanese(resolved, name):
    translate, study = translator("ja"), resolved(name)
    assert len(deviations(study, NONE, translate)) == len(deviations(study, NONE, str))
    assert "シード" in "".join(provenance(study, translate)) or name == "published"
