"""The learning rate of pre-training that a model's file tells."""

import math

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

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
    found = [pocket.learning_rate(step) for step in (25, 100, 1800, 4000)]
    # Warm-up of 100 steps; of the last 1,200 one is left before the last update.
    assert found == pytest.approx([7.5e-4, 3e-3, 3e-3, 3e-3 * (0.1 + 0.9 / 1200)])
    with pytest.raises(ValidationError, match="told by source.pretraining"):
        model(pocket.source.model_dump(by_alias=True) | {}, **SCHEDULE)
