"""Model files: how checkpoints are named, the learning rate of pre-training, what is refused."""

import math

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError
from small_study import edit, write_study

from ptft.study import StudyError, read_study
from ptft.study.models import Model

SCHEDULE = {"peak": 4e-4, "warmup": 2000, "start": 4e-5, "steps": 12_000, "shape": "cosine"}
FOLDER = {"kind": "folder", "path": "p", "checkpoints": {"a": {"step": 1}}}


def model(source=FOLDER, **schedule):
    told = {"pretraining_lr": schedule} if schedule else {}
    return TypeAdapter(Model).validate_python(told | {"source": source})


def shipped(repository, name):
    file = repository / f"config/models/{name}.yaml"
    return TypeAdapter(Model).validate_python(yaml.safe_load(file.read_text()))


def test_it_rises_and_falls_by_a_cosine():
    at = model(**SCHEDULE, end=4e-5).learning_rate
    assert [at(step) for step in (0, 1000, 2000)] == pytest.approx([4e-5, 2.2e-4, 4e-4])
    assert at(7000) == pytest.approx(2.2e-4)  # half way
    assert at(4500) == pytest.approx(4e-5 + 3.6e-4 * (1 + math.cos(math.pi / 4)) / 2)
    assert at(12_000) == at(50_000) == pytest.approx(4e-5)
    assert at(None) is None and model().learning_rate(5) is None


def test_it_falls_in_a_line_and_is_cut_off():
    at = model(peak=1.0, steps=100, shape="linear", least=0.3).learning_rate
    assert [at(step) for step in (0, 40, 70, 90)] == pytest.approx([1.0, 0.6, 0.3, 0.3])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"warmup": 12_000}, "warmup is 12000, expected fewer than the 12000 steps"),
        ({"end": 5e-4}, "end is 0.0005, expected at most the peak, 0.0004"),
        ({"shape": "stairs"}, "cosine"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(changed, said):
    with pytest.raises(ValidationError, match=said):
        model(**SCHEDULE | changed)


def test_shipped_models_tell_it(repository):
    olmo = shipped(repository, "olmo-1b")
    assert olmo.learning_rate(738_020) == pytest.approx(4e-5, rel=1e-3)
    # Half way between step 2,000 and step 739,328 the cosine is half way down.
    assert olmo.learning_rate(370_664) == pytest.approx(2.2e-4)
    pythia = shipped(repository, "pythia-410m")
    assert pythia.learning_rate(715) == pytest.approx(1.5e-4)
    assert pythia.learning_rate(1430 + 71_500) == pytest.approx(1.5e-4)
    assert pythia.learning_rate(143_000) == 3e-5
    assert shipped(repository, "llama3-8b").learning_rate(1000) is None


def test_the_pocket_models_is_that_of_its_settings(repository):
    pocket = shipped(repository, "pocket")
    found = [pocket.learning_rate(step) for step in (25, 100, 1400, 2400)]
    # Warm-up of 100 steps; of the last 720 one is left before the last update.
    assert found == pytest.approx([7.5e-4, 3e-3, 3e-3, 3e-3 * (0.1 + 0.9 / 720)])
    with pytest.raises(ValidationError, match="told by source.pretraining"):
        model(pocket.source.model_dump(by_alias=True) | {}, **SCHEDULE)


STAGED = r"""
source:
  kind: hub
  repository: org/staged
  stages:
    one: {branches: 's1-step(?P<step>\d+)', tokens_per_step: 10}
    two: {branches: 's2-step(?P<step>\d+)', tokens_per_step: 20, after: {step: 100, tokens: 1000}}
    other: {branches: 'b2-step(?P<step>\d+)', after: {step: 100, tokens: 1000}}
    words: {subfolders: 'w(?P<tokens>[.\d]+)(?P<unit>[KMB])', repository: org/words}
  tokenizer: {repository: org/words}
  checkpoints:
    end: {subfolder: final, tokens: 5000}
"""


@pytest.fixture
def read(tmp_path, repository, monkeypatch):
    """Function: the small study with this model file and these checkpoints."""
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, repository)

    def read(model, *checkpoints):
        (tmp_path / "models/tiny.yaml").write_text(model)
        edit(tmp_path / "study.yaml", "step4, step16", ", ".join(checkpoints))
        file = tmp_path / "study.yaml"
        return read_study(yaml.safe_load(file.read_text()), [file], tmp_path / "config")

    return read


def test_names_of_stages_count_from_the_beginning(read):
    grid = read(STAGED, "one-step7", "two-step5", "w1.5K", "end")
    places = {name: (info.step, info.tokens) for name, info in grid.checkpoints.items()}
    assert places == {
        "one-step7": (7, 70),
        "two-step5": (105, 1100),
        "w1.5K": (None, 1500),
        "end": (None, 5000),
    }
    found = {name: grid.model.source.reference(name) for name in grid.checkpoints}
    keys = ("repository", "branch", "subfolder", "named_step", "after")
    assert {name: [ref[key] for key in keys] for name, ref in found.items()} == {
        "one-step7": ["org/staged", None, None, 7, {"step": None, "tokens": None}],
        "two-step5": ["org/staged", None, None, 5, {"step": 100, "tokens": 1000}],
        "w1.5K": ["org/words", None, "w1.5K", None, {"step": None, "tokens": None}],
        "end": ["org/staged", "main", "final", None, {"step": None, "tokens": None}],
    }
    assert found["end"]["tokenizer"] == {"repository": "org/words", "revision": "main"}


@pytest.mark.parametrize(
    ("checkpoints", "said"),
    [
        (["one-step101", "two-step5"], "study.yaml:3: checkpoints.0: it is at step 101, and stage"),
        (["two-step5", "other-step5"], "checkpoints.0: stages two and other begin at the same"),
        (["tow-step5"], "unknown 'tow-step5'; known: end; others are named one-step1000 or as its"),
        (["s1-stepx"], "unknown 's1-stepx'"),
    ],
)  # fmt: skip
def test_checkpoints_that_do_not_go_together_are_refused(read, checkpoints, said):
    with pytest.raises(StudyError) as error:
        read(STAGED, *checkpoints)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("after: {step: 100, tokens: 1000}}\n    words", "after: {step: 90}}\n    words",
         "models/tiny.yaml:8: source.stages.other.after.step: found 90, but the stage before it "
         "begins after 100"),
        ("  stages:", "  branches: step(?P<step>.+)\n  stages:", "tiny.yaml:5: source.branches:"),
        ("s1-step(?P<step>", "s1-step(", "tiny.yaml:6: source.stages.one.branches:"),
        ("(?P<tokens>[.\\d]+)", "[.\\d]+", "has none of the groups"),
        ("(?P<step>\\d+)', tokens_per_step: 10", "(?P<step>\\d+)(?P<unit>B)'",
         "has a group `unit`, but none of tokens"),
        ("(?P<step>\\d+)', tokens_per_step: 10", "(?P<step>\\d+)(?P<seed>.)'",
         "group 'seed' is none of step, tokens, unit, index"),
        ("{branches: 's1", "{subfolders: x(?P<step>.), branches: 's1",
         "tiny.yaml:6: source.stages.one.subfolders: checkpoints are branches or folders"),
        ("subfolder: final", "subfolder: ../final", "source.checkpoints.end.subfolder ="),
        ("b2-step", "s1-step", "checkpoints.0: 's1-step5' fits the patterns of stages one and o"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_names_of_checkpoints(read, old, new, said):
    assert old in STAGED
    with pytest.raises(StudyError) as error:
        read(STAGED.replace(old, new), "s1-step5")
    assert said in str(error.value)


def test_a_variant_is_another_repository_and_all_else_the_same(repository):
    file = repository / "config/pythia-410m.yaml"
    study = yaml.safe_load(file.read_text())
    first, seed = (
        read_study(study | {"model": name}, [file], repository / "config")
        for name in ("pythia-410m", "pythia-410m-seed3")
    )
    assert seed.model.source.repository == "EleutherAI/pythia-410m-seed3"
    assert seed.checkpoints == first.checkpoints
    assert seed.model.learning_rate(143_000) == first.model.learning_rate(143_000)
    with pytest.raises(StudyError, match="model 'pythia-410m-sed3'; did you mean 'pythia-4"):
        read_study(study | {"model": "pythia-410m-sed3"}, [file], repository / "config")
