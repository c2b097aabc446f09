"""Mistakes in the files of a study, and the one sentence that each of them is answered by.

A row is an edit of a good file and what is said; `{at}` stands for the folder of the study.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from small_study import FAMILY, OWN, QUIZ, edit
from snakemake.utils import update_config

from ptft.analysis.cell_scores import domain_of
from ptft.errors import ConfigFiles, require_readable
from ptft.study import StudyError, read_study
from ptft.study.slices import collection_slice, evaluation_slice, resolved_study


def test_the_study_without_a_mistake_is_good(refused):
    assert refused() == ""


IN_STUDY = [
    # The notation
    ("  full:", "\tfull:", "study.yaml:6: found 'full:': found character '\\t' that cannot"),
    (
        "    seeds",
        "   seeds",
        "study.yaml:11: found 'seeds: [0, 1]' while parsing a block mapping from line 6",
    ),
    (
        "model: tiny",
        " model: tiny",
        "study.yaml:2: found 'model: tiny': mapping values are not allowed",
    ),
    (
        "model: tiny",
        "model tiny",
        "study.yaml:3: found 'checkpoints: [step4, step16]' while scanning a simple",
    ),
    (
        "[step4, step16]",
        "[step4, step16",
        "study.yaml:4: found 'root: resources/pocket' while parsing a flow sequence from line 3 on",
    ),
    (
        "study: small",
        "study: 'small",
        "study.yaml:16: found '' while scanning a quoted scalar from line 1 on",
    ),
    ("evaluate:", "model: other\nevaluate:", "study.yaml:12: the key 'model' is already in line"),
    # Keys
    ("  full:", "  ful:", "study.yaml:6: finetune.ful: unknown key 'ful'; did you mean 'full'?"),
    (
        "epochs: 1",
        "epoch: 1",
        "study.yaml:7: finetune.full.settings.epoch: unknown key 'epoch'; did you",
    ),
    ("study: small\n", "", "study.yaml:1: key 'study' is missing"),
    (
        "  shots",
        "shots",
        "study.yaml:15: shots: unknown key 'shots'; known: adopt, analysis, bootstrap",
    ),
    ("evaluate:\n", "compute:\nevaluate:\n", "study.yaml:12: compute is empty; give it a value"),
    # Values
    ("lr: 1.0e-3", "lr: 1e-3", "study.yaml:7: finetune.full.settings.lr = '1e-3': expected a"),
    ("epochs: 1", "epochs: 0", "study.yaml:7: finetune.full.settings: epochs: found 0, expected 1"),
    (
        "epochs: 1",
        "validation_examples: 4, validation_steps: [10, 10]",
        "study.yaml:7: finetune.full.settings: validation_steps: found [10, 10], expected",
    ),
    ("shots: [0, 2]", "shots: [0, -2]", "study.yaml:15: evaluate.shots.1 = -2: expected greater"),
    ("[step4, step16]", "[]", "study.yaml:3: checkpoints = []: List should have at least 1"),
    (
        "[step4, step16]",
        "step4",
        "study.yaml:3: checkpoints = 'step4': expected a valid list; write",
    ),
    ("model: tiny", "model: tiny\nreport: {language: fr}", "study.yaml:3: report.language = 'fr':"),
    ("model: tiny", "model: tiny\nanalysis: {format: instruct}", "study.yaml:3: analysis.format:"),
    ("model: tiny", "model: tiny\nanalysis: {shots: 1}", "study.yaml:3: analysis.shots: 1 is none"),
    (
        "model: tiny",
        "model: tiny\nanalysis: {transfer_datasets: [owm]}",
        "study.yaml:3: analysis.transfer_datasets: unknown 'owm'; did you mean 'own'?",
    ),
    # Names
    ("step16", "step17", "study.yaml:3: checkpoints.1: unknown 'step17'; did you mean 'step16'?"),
    ("      own: {}", "      pocket_nil: {}", "study.yaml:8: finetune.full.tasks: unknown"),
    ("pocket_facts]", "pocket_fact]", "study.yaml:13: evaluate.datasets: unknown 'pocket_fact'"),
    ("model: tiny", "model: tinny", "study.yaml:2: unknown model 'tinny'; did you mean 'tiny'?"),
    ("[default, io]", "[default, ios]", "study.yaml:14: evaluate.formats: unknown 'ios'; did you"),
    ("[default, io]", "[io]", "study.yaml:14: evaluate.formats.0: 'io' is not a format of dataset"),
    (
        "evaluate:",
        "data:\n  train_of: {own: 8, pocket_facts: 8}\nevaluate:",
        "study.yaml:13: data.train_of.pocket_facts: no arm is fine-tuned on this dataset",
    ),
    # Twice in a list
    ("seeds: [0, 1]", "seeds: [0, 0]", "study.yaml:11: finetune.full.seeds.1: 0 is in the list"),
    # Remedies against forgetting
    *(
        (
            "lr: 1.0e-3}",
            f"lr: 1.0e-3, {settings}}}",
            "study.yaml:7: " + sentence.replace("{key}", "finetune.full.settings"),
        )
        for settings, sentence in [
            ("replay: {dataset: pocket_summary, share: 1}", "{key}.replay: share: found 1.0,"),
            ("replay: {dataset: pocket_summary}", "key '{key}.replay.share' is missing"),
            ("replay: {dataset: pocket_nli, share: 0.1}", "{key}.replay.dataset: 'pocket_nli' is"),
            ("replay: {dataset: pocket_summary, share: 0.1}", "{key}.replay.dataset: rows of"),
            (
                "replay: {dataset: self, share: 0.1, prompts: pocket_summary}",
                "{key}.replay.prompts: 'pocket_summary' is no dataset of texts",
            ),
            ("early_stopping: 2", "{key}: validation_steps: found [], expected at least one"),
        ]
    ),
    (
        "own: {}",
        "own: {replay: {dataset: pocket_nli, share: 0.1}}",
        "study.yaml:10: finetune.full.tasks.own.replay.dataset: rows of 'pocket_nli' would be",
    ),
    (
        "own: {}\n    seeds: [0, 1]",
        "own: {replay: {dataset: self, share: 0.01}}\n    seeds: [0]\ndata: {train: 40}",
        "study.yaml:10: finetune.full.tasks.own.replay.share: 0.01 of 1 x 40 examples leaves none",
    ),
    pytest.param(
        "seeds: [0, 1]",
        "seeds: [0]\n  lora: {settings: {quantize: true}, tasks: {own: {}}}",
        "study.yaml:12: finetune.lora.settings.quantize: bitsandbytes is not installed here",
        marks=pytest.mark.skipif(bool(find_spec("bitsandbytes")), reason="bitsandbytes is there"),
    ),
    # What is more than there is
    ("shots: [0, 2]", "shots: [0, 65]", "study.yaml:15: evaluate.shots: 65 shots can't be drawn"),
    (
        "shots: [0, 2]",
        "shots: [0]\n  family_shots: {completion: [99]}",
        "study.yaml:16: evaluate.family_shots.completion: 99 shots can't be drawn from 64",
    ),
]


@pytest.mark.parametrize(("old", "new", "sentence"), IN_STUDY)
def test_a_mistake_in_a_study(files, refused, old, new, sentence):
    edit(files / "study.yaml", old, new)
    assert refused().startswith(sentence)


ON_COMMAND_LINE = [
    ({"data": {"trian": 8}}, "--config: data.trian: unknown key 'trian'; did you mean 'train'?"),
    ({"bootstrap": {"resamples": "many"}}, "--config: bootstrap.resamples = 'many': expected a"),
    ({"data": {"shots": 1}}, "study.yaml:15: evaluate.shots: 2 shots can't be drawn from 1"),
]


@pytest.mark.parametrize(("given", "sentence"), ON_COMMAND_LINE)
def test_a_mistake_on_the_command_line(files, given, sentence):
    """A value of `--config` is not blamed on a line of a file in which it does not stand."""
    study = files / "study.yaml"
    config = yaml.safe_load(study.read_text())
    update_config(config, given)
    with pytest.raises(StudyError) as refusal:
        read_study(config, ConfigFiles([study], config), files / "config")
    assert str(refusal.value).replace(f"{files}/", "").startswith(sentence)


IN_FAMILY = [
    ("kind: class", "\tkind: class", "1: found 'kind: classification' while scanning for"),
    # Values that do not fit one another
    ("kind: classification", "kind: generation", "2: labels: needed only in a family of kind"),
    (
        "    label: {column: label, values",
        "    target: {column: label, values",
        "13: datasets.own.target = {'column': 'label', 'values': {0: 'no', 1: 'yes'}}:",
    ),
    (
        '    label: {column: label, values: {0: "no", 1: "yes"}}',
        "    target: label",
        "13: datasets.own.target: not for a dataset of kind classification",
    ),
    ('    label: {column: label, values: {0: "no", 1: "yes"}}', "", "9: datasets.own: `label` is"),
    ('1: "yes"', '1: "maybe"', "13: datasets.own.label.values: unknown label 'maybe'; known: no"),
    ('values: {0: "no", 1: "yes"}', "above: 3.5", "13: datasets.own.label: give either `values`,"),
    ("{dataset: own,", "{dataset: owm,", "7: tasks.own.dataset: unknown dataset 'owm'; did you"),
    ('train: "rows[:8]", ', "", "7: tasks.own.dataset: 'own' has no splits.train"),
    # Templates
    ("{text}:", "{txt}:", "4: formats.default: asks for the field {txt}, which"),
    ('io: "{text}"', 'io: "text"', "5: formats.io: has no {field}: all prompts would be the same"),
    ('io: "{text}"', 'io: "{text"', "5: formats.io: '{text' is not a template (expected '}'"),
    # Rewrites and metrics
    (
        "{text: text}",
        "{text: {column: [a, b], transform: lower_first}}",
        "12: datasets.own.fields.text.column: transform 'lower_first' takes 1 texts, found 2",
    ),
    ("    label: {", "    metric: acc\n    label: {", "13: datasets.own.metric: not for a dataset"),
    # Splits
    ("rows[:8]", "rows[:x]", "11: datasets.own.splits.train: 'rows[:x]' is not a split; expected"),
    ("rows[:8]", "rows[10:50%]", "11: datasets.own.splits.train: 'rows[10:50%]' mixes rows and"),
    ("rows[:8]", "rows[8:8]", "11: datasets.own.splits.train: 'rows[8:8]' holds no rows: it has"),
    ("rows[:8]", "row[:8]", "11: datasets.own.splits.train: unknown split of `files` 'row'; did"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), IN_FAMILY)
def test_a_mistake_in_a_family(files, refused, old, new, sentence):
    edit(files / OWN, old, new)
    assert refused().startswith(f"{OWN}:{sentence}")


IN_QUIZ = [
    (" {choice}", "", "2: formats.default: has no {choice} to score a continuation of"),
    ("    continuation: rest\n", "", "2: formats.default: asks for the field {choice}, which"),
    (
        "choices: options",
        "choices: options\n    choice_transform: hellaswag_query",
        "9: datasets.quiz.choice_transform: transform 'hellaswag_query' takes 3 texts, found",
    ),
    ("choices: options", "choices: options\n    metric: rougeL", "9: datasets.quiz.metric ="),
]


@pytest.mark.parametrize(("old", "new", "sentence"), IN_QUIZ)
def test_a_mistake_in_choices(files, refused, old, new, sentence):
    quiz = files / "families/quiz.yaml"
    quiz.write_text(QUIZ)
    edit(quiz, old, new)
    assert refused().startswith(f"families/quiz.yaml:{sentence}")


def test_files_that_would_be_passed_over_are_refused(files, refused):
    (files / OWN).rename(files / "families/own.yml")
    assert refused() == "families/own.yml: would not be read; rename it own.yaml"


def test_a_dataset_of_two_families_is_refused(files, refused):
    (files / OWN).write_text(FAMILY.replace("own", "rte"))
    assert refused() == (
        f"{OWN}:9: datasets.rte is also in config/families/nli.yaml:27; rename one of them"
    )


EXTENSION = """\
extends: nli
formats: {plain: "{premise} So {hypothesis}"}
tasks: {own: {dataset: own, in_domain: [own, pocket_nli_ood]}}
datasets:
  own:
    files: {rows: rows.jsonl}
    splits: {train: "rows[:8]", test: "rows[8:]"}
    fields: {premise: a, hypothesis: b}
    label: {column: label, values: {0: neutral, 1: entailment}}
"""
IN_EXTENSION = [
    ("extends: nli", "extends: nil", "1: extends: unknown family 'nil'; did you mean 'nli'?"),
    ("extends: nli", "extends: nli\nlabels: [a, b]", "2: labels can't be changed by a file with"),
    ("plain:", "default:", "2: formats.default is already in config/families/nli.yaml:6; a file"),
    ("tasks: {own", "tasks: {mnli", "3: tasks.mnli is already in config/families/nli.yaml:10; a"),
    ("1: entailment", "1: entails", "9: datasets.own.label.values: unknown label 'entails'; did"),
    ("{premise} So", "{context} So", "2: formats.plain: asks for the field {context}, which"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), IN_EXTENSION)
def test_a_mistake_in_an_extension(files, refused, old, new, sentence):
    (files / OWN).write_text(EXTENSION)
    edit(files / OWN, old, new)
    assert refused().startswith(f"{OWN}:{sentence}")


@pytest.mark.parametrize("name", ["own", "nli"])
def test_an_extension_adds_to_the_family(files, read, name):
    """Whatever the file's name, the family's own included."""
    (files / OWN).rename(files / f"families/{name}.yaml")
    (files / f"families/{name}.yaml").write_text(EXTENSION)
    edit(files / "study.yaml", "  formats: [default, io]", "  formats: [default]")
    grid = read()
    assert grid.family("own") == "nli"
    study_slice = collection_slice(grid)
    assert [domain_of("own", dataset, study_slice) for dataset in grid.datasets] == [
        "out",
        "in",
        "cross",
        "cross",
    ]
    shipped = yaml.safe_load((files / "config/families/nli.yaml").read_text())["formats"]
    family = resolved_study(grid)["families"]["nli"]
    assert family["formats"] == {**shipped, "plain": "{premise} So {hypothesis}"}
    assert evaluation_slice(grid)["datasets"]["own"]["labels"] == [
        "entailment",
        "neutral",
        "contradiction",
    ]


def test_what_is_no_study_is_refused(files, refused, monkeypatch):
    study = files / "study.yaml"
    study.write_text("# nothing\n")
    assert refused() == "study.yaml: found nothing; expected a study, as in config/pocket.yaml"
    study.write_text("- a\n- b\n")
    assert refused() == "study.yaml:1: found no keys; expected lines of the form `key: value`"
    study.write_bytes(b"study: a\nmodel: \xff\n")
    assert refused() == (
        "study.yaml:2: found a character that is not UTF-8; save the file as UTF-8"
    )
    monkeypatch.chdir(files)
    with pytest.raises(StudyError) as refusal:
        require_readable([Path("fetch")])
    assert str(refusal.value) == (
        f"--configfile: fetch is not a file in {files}; note that every word after the option is "
        "read as a file: a target goes before it"
    )
