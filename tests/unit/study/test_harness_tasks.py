"""Tasks of the harness in a study: datasets, what is fetched, and what is refused with its line."""

import importlib.metadata
from pathlib import Path

import pytest
import yaml
from own_tasks import write_tasks
from small_study import STUDY, write_study

from ptft.errors import StudyError
from ptft.evaluation.cells import cells_of_plan
from ptft.study import read_study, slices

HARNESS = """\
  harness:
    tasks: [both, sizes, words, rolls, gsm8k, mmlu_stem]
    shots: {mmlu_stem: 5, words: 2}
    include: tasks
    limit: 7
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, repository):
    """A study beside tasks; names are looked up once, and kept there."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, repository)
    write_tasks(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(repository / "scripts"))
        yield folder


def read(text):
    file = Path("study.yaml")
    file.write_text(text)
    return read_study(yaml.safe_load(text), [file], Path("config"))


@pytest.mark.slow
def test_tasks_are_datasets_of_a_family_of_their_own(folder):
    grid = read(STUDY.replace("root: resources/pocket\n", "") + HARNESS)
    assert [*grid.harness][:3] == ["harness_shapes", "harness_sizes", "harness_words"]
    assert len(grid.harness) == 5 + 1 + 19 + 1  # own tasks and group, gsm8k, 19 of mmlu's
    assert grid.shots("harness_words") == [2] and grid.shots("harness_gsm8k") == [5]
    assert grid.shots("harness_mmlu_anatomy") == [5] == grid.shots("harness_mmlu_stem")
    assert grid.is_text("harness_rolls") and "harness_rolls" not in grid.prompted
    # A group's members stand in the tables alone, but those that were named.
    about = slices.collection_slice(grid)["datasets"]
    assert {name for name in grid.harness if "aside" not in about[name]} == {
        *("harness_both", "harness_sizes", "harness_words", "harness_rolls", "harness_gsm8k"),
        "harness_mmlu_stem",
    }
    assert about["harness_mmlu_stem"]["kind"] == about["harness_both"]["kind"] == "multiple_choice"
    assert about["harness_rolls"] | {"labels": 0} == {
        **{"family": "harness", "kind": "text", "metric": "bits_per_byte", "labels": 0},
    }
    fetched = [where for where in grid.fetched_splits() if "cais/mmlu/anatomy" in where]
    assert fetched == [f"resources/hub/datasets/cais/mmlu/anatomy/{s}" for s in ("test", "dev")]
    assert sum("openai/gsm8k/main" in where for where in grid.fetched_splits()) == 2
    cells = {cell.name: cell for cell in cells_of_plan(slices.evaluation_slice(grid))}
    group = cells["harness_mmlu_stem.default.5shot"]
    assert len(group.members) == 19 and group.members[0] in cells
    assert not group.drawn and cells["harness_gsm8k.default.5shot"].max_new_tokens == 256


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("{mmlu_stem: 5,", "{mmlu: 5,", 18, "evaluate.harness.shots.mmlu: unknown 'mmlu'; did"),
        ("words: 2}", "rolls: 2}", 18, "evaluate.harness.shots.rolls: rolls has no prompts"),
        ("include: tasks", "include: nowhere", 19, "evaluate.harness.include: nowhere is no"),
        ("limit: 7", "limit: 0", 20, "evaluate.harness.limit = 0: expected greater"),
        (
            "    tasks: [both, sizes",
            "    task: [both, sizes",
            17,
            "evaluate.harness.task: unknown key",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(folder, old, new, line, sentence):
    with pytest.raises(StudyError) as refused:
        read(STUDY + HARNESS.replace(old, new))
    assert str(refused.value).startswith(f"study.yaml:{line}: {sentence}")


@pytest.mark.slow
def test_an_unknown_task_is_refused_with_its_line(folder):
    with pytest.raises(
        StudyError,
        match=r"study.yaml:17: .*tasks.1: unknown task '.{9}'; known: .* and \d{5} more$",
    ) as far:
        tasks = "[both, qqqqqqqqq]"
        read(STUDY + HARNESS.replace("[both, sizes, words, rolls, gsm8k, mmlu_stem]", tasks))
    assert len(str(far.value)) < 3000


def test_without_the_harness_it_is_said_how_to_get_it(folder, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("ptft.study.harness.version", missing)
    with pytest.raises(StudyError, match=r"study.yaml:16: evaluate.harness: needs lm-eval.*pip"):
        read(STUDY + HARNESS)
