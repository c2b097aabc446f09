"""Studies: what is refused and how it is explained; what the grid of a good one holds."""

import json
from pathlib import Path

import pytest
import small_study
import yaml
from small_study import QUIZ

from ptft.evaluation.cells import cells_of_plan
from ptft.study import Cell, StudyError, read_study
from ptft.study.checks import notes
from ptft.study.finished import read_finished
from ptft.study.slices import (
    checked_trainings,
    collection_slice,
    evaluation_slice,
    finetune_slice,
    resolved_study,
    self_text_slice,
    split_slice,
    trained_slice,
)
from ptft.versions import TRAINING_VERSION

STUDY = small_study.STUDY.replace("own: {}", "pocket_summary: {}")
STUDY = STUDY.replace("[pocket_nli, own,", "[pocket_nli, pocket_nli_ood,")


@pytest.fixture
def read(tmp_path, repository):
    """Read a study's text with the tests' model and the workflow's families."""
    (tmp_path / "models").symlink_to(repository / "tests" / "studies" / "models")

    def read(text: str):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return read_study(yaml.safe_load(text), [path], repository / "config")

    return read


def test_grid_is_the_product_of_checkpoints_arms_and_scores(read):
    grid = read(STUDY)
    assert list(grid.arms) == [
        "base",
        "full.pocket_nli.s0",
        "full.pocket_nli.s1",
        "full.pocket_summary.s0",
        "full.pocket_summary.s1",
    ]
    # facts has one format, the others two: (3 x 2 + 1) x 2 shots, for 2 checkpoints and 5 arms
    scores = list(grid.scores())
    assert len(scores) == 14
    assert ("pocket_facts", "io", 0) not in scores
    cells = list(grid.cells())
    assert len(cells) == len(set(cells)) == 2 * 5 * 14
    assert Cell("step16", "full.pocket_nli.s1", "pocket_nli_ood", "io", 2) in cells
    assert grid.checkpoints["step16"].step == 16
    assert grid.checkpoints["step16"].tokens == 16 * 8 * 128


def test_what_a_user_may_not_expect_is_said(read):
    """A dataset of one format is scored in it; few seeds say nothing about a method."""
    enough = STUDY.replace("seeds: [0, 1]", "seeds: [0, 1, 2]")
    assert notes(read(enough)) == [
        "evaluate.formats: pocket_facts in 'default' alone, the only format there"
    ]
    assert notes(read(enough.replace("[default, io]", "[default]"))) == []
    one_format = STUDY.replace("[default, io]", "[default]")
    [note] = notes(read(one_format))
    assert note.startswith("finetune.full.seeds: 2 seeds: findings will be about these models; ")
    lora = "  lora: {seeds: [0, 1, 2], tasks: {pocket_nli: {}}}\nevaluate:"
    assert notes(read(one_format.replace("evaluate:", lora))) == [note]
    [note] = notes(read(one_format.replace("    seeds: [0, 1]\n", "")))
    assert "1 seed: " in note and "need 3 seeds" in note


def test_a_job_sees_no_more_than_its_slice(read):
    """An edit changes exactly the slices of the jobs whose results it can change."""

    def slices(text):
        grid = read(text)
        found = {("evaluate",): evaluation_slice(grid)}
        found |= {("split", *key): split_slice(grid, *key) for key in grid.splits()}
        found |= {("arm", a): finetune_slice(grid, a) for a in grid.arms if a != "base"}
        return {key: json.dumps(value, sort_keys=True) for key, value in found.items()}

    def changed(text):
        before, after = slices(STUDY), slices(text)
        return sorted(key for key in after if after[key] != before.get(key))

    assert changed("# a comment\n" + STUDY) == []
    assert changed(STUDY.replace("lr: 5.0e-4", "lr: 4.0e-4")) == [
        ("arm", "full.pocket_nli.s0"),
        ("arm", "full.pocket_nli.s1"),
    ]
    assert changed(STUDY + "data: {train: 10}\n") == [
        ("split", "pocket_nli", "train"),
        ("split", "pocket_summary", "train"),
    ]
    assert changed(STUDY.replace("[default, io]", "[io, default]")) == []
    assert changed(STUDY.replace("shots: [0, 2]", "shots: [0, 1]")) == [("evaluate",)]
    backed = STUDY.replace("shots: [0, 2]", "shots: [0, 2]\n  generation_backend: vllm")
    assert changed(backed) == [("evaluate",)]
    assert changed(backed.replace("vllm", "transformers")) == []
    assert changed(STUDY.replace("[default, io]", "[default, io, chat]")) == [("evaluate",)]


def test_chat_is_a_format_of_every_family(read):
    """Its turn asks as `instruct` does, where the family has that, else as its only format."""
    grid = read(STUDY.replace("[default, io]", "[default, chat]"))
    plan = evaluation_slice(grid)
    cells = cells_of_plan(plan | {"scoring_version": 1})
    assert {cell.format for cell in cells if cell.chat} == {"chat"}
    for dataset in grid.prompted:
        known, formats = grid.templates(dataset), plan["datasets"][dataset]["formats"]
        assert formats["chat"] == known.get("instruct", known["default"])
        assert formats["default"] == known["default"] and len(formats) == 2


REPLAY = STUDY.replace(
    "pocket_nli: {lr: 5.0e-4}",
    "pocket_nli: {replay: {dataset: pocket_question, share: 0.25}, l2sp: 0.1, kl: 0}",
)


def test_replay_is_in_the_slice_of_its_arms_alone(read):
    grid = read(REPLAY)
    nli, summary = (finetune_slice(grid, f"full.{t}.s0") for t in ("pocket_nli", "pocket_summary"))
    replay = {"dataset": "pocket_question", "share": 0.25, "learn": "tokens"}
    assert replay.items() <= nli["settings"]["replay"].items()
    assert nli["settings"]["l2sp"] == 0.1
    assert nli["replay_template"] == grid.templates("pocket_question")["default"]
    assert summary == finetune_slice(read(STUDY), "full.pocket_summary.s0")
    assert summary["settings"]["replay"] is None and summary["settings"]["l2sp"] == 0
    assert set(grid.splits()) - set(read(STUDY).splits()) == {("pocket_question", "train")}
    assert grid.learned("full.pocket_nli.s1") == ["pocket_nli", "pocket_question"]
    assert grid.learned("full.pocket_summary.s0") == ["pocket_summary"]
    check = trained_slice(grid, "full.pocket_nli.replay-pocket_question")
    assert check["replay"]["dataset"] == "pocket_question"
    assert resolved_study(grid)["study"]["finetune"]["full"]["tasks"]["pocket_nli"]["l2sp"] == 0.1


def test_a_checkpoint_writes_what_its_arms_replay(read):
    """Its name tells how; all arms that ask for the same share it, and its check."""
    own = "replay: {dataset: self, share: 0.2, samples: 50}"
    grid = read(
        STUDY.replace("pocket_nli: {lr: 5.0e-4}", f"pocket_nli: {{{own}}}").replace(
            "pocket_summary: {}",
            "pocket_summary: {replay: {dataset: self, share: 0.1, prompts: pocket_text}}",
        )
    )
    assert list(grid.self_texts) == ["bos-50x256-t1", "pocket_text-1000x256-t1"]
    nli, summary = "full.pocket_nli.s1", "full.pocket_summary.s0"
    assert [grid.self_text_of(arm) for arm in (nli, summary)] == list(grid.self_texts)
    assert self_text_slice(grid, "bos-50x256-t1") == {
        "training_version": TRAINING_VERSION, "samples": 50, "tokens": 256, "temperature": 1.0,
        "seed": 42,
    }  # fmt: skip
    assert grid.learned(nli) == ["pocket_nli"] and "replay_template" not in finetune_slice(
        grid, nli
    )
    assert ("pocket_text", "train") in grid.splits() and "self" not in dict(grid.splits())
    checks = checked_trainings(grid)
    assert trained_slice(grid, "full.pocket_nli.replay-self")["self_text"] is None
    assert trained_slice(grid, "full.pocket_summary.replay-self-pocket_text")["self_text"] == (
        "pocket_text"
    )
    assert len(checks) == 2


def test_text_is_replayed_in_any_format(read):
    text = REPLAY.replace("dataset: pocket_question", "dataset: pocket_text")
    grid = read(text.replace("root:", "train_format: io\nroot:"))
    assert finetune_slice(grid, "full.pocket_nli.s0")["replay_template"] is None
    assert ("pocket_text", "train") in grid.splits()


def test_frozen_blocks_are_fewer_than_the_models(read, tmp_path, repository):
    (tmp_path / "models").unlink()
    (tmp_path / "models").mkdir()
    tiny = (repository / "tests/studies/models/tiny.yaml").read_text()
    shape = {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 8,
             "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 9,
             "tie_word_embeddings": True}  # fmt: skip
    (tmp_path / "models/tiny.yaml").write_text(f"{tiny}\nshape: {json.dumps(shape)}\n")
    assert read(STUDY.replace("{epochs: 1,", "{epochs: 1, freeze: 1,"))
    with pytest.raises(StudyError, match="settings.freeze: 2 is not below the model's 2 blocks"):
        read(STUDY.replace("{epochs: 1,", "{epochs: 1, freeze: 2,"))


def test_the_main_metric_is_the_one_the_dataset_names(read, tmp_path):
    """Evaluation and collection know it; the rows do not depend on it."""
    (tmp_path / "families").mkdir()
    file = tmp_path / "families" / "quiz.yaml"
    text = STUDY.replace("pocket_facts]", "pocket_facts, quiz]")
    slices = []
    for change in ("", "    metric: acc\n"):
        file.write_text(QUIZ + change)
        grid = read(text)
        slices.append(split_slice(grid, "quiz", "test"))
    assert slices[0] == slices[1]
    for found in (evaluation_slice(grid), collection_slice(grid)):
        metrics = {name: about["metric"] for name, about in found["datasets"].items()}
        assert metrics == {
            "pocket_nli": "accuracy",
            "pocket_nli_ood": "accuracy",
            "pocket_summary": "rougeL",
            "pocket_facts": "acc_norm",
            "quiz": "acc",
        }


def test_schemas_are_those_of_the_types(repository):
    from write_schemas import rendered

    for name, content in rendered().items():
        path = repository / "workflow" / "schemas" / name
        assert path.read_text() == content, f"{path} has drifted: run `make schemas`"


def test_every_study_of_the_workflow_is_good(repository):
    files = sorted([*repository.glob("config/*.yaml"), *repository.glob("config/published/*.yaml")])
    assert Path(repository / "config/pocket.yaml") in files
    for path in files:
        content = yaml.safe_load(path.read_text())
        if "published" in content:
            assert read_finished(content, [path], repository / "config").name == path.stem
        else:
            assert read_study(content, [path], repository / "config").name == path.stem


def test_further_ways_of_scoring_go_where_the_kind_allows(read):
    scoring = read(STUDY.replace("  shots: [0, 2]", "  shots: [0]\n  also: [free, pmi]"))
    found = {n: d.get("also") for n, d in evaluation_slice(scoring)["datasets"].items()}
    assert found == {
        "pocket_nli": ["free"],
        "pocket_nli_ood": ["free"],
        "pocket_summary": None,
        "pocket_facts": ["pmi"],
    }
