"""Slices: written once, read strictly, and of the types that programs read them as."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from ptft.analysis.collect import CollectionSlice
from ptft.analysis.settings import Settings
from ptft.audit.checks import ScoredSlice, TrainedSlice
from ptft.data.prepare import SplitSlice
from ptft.evaluation.cells import EvaluationPlan
from ptft.files import Slices, read_slice
from ptft.study import StudyError, named_study
from ptft.study.slices import (
    checked_trainings,
    collection_slice,
    evaluation_slice,
    finetune_slice,
    scored_slice,
    split_slice,
    trained_slice,
)
from ptft.training.job import read_request

STUDIES = ["pocket", "olmo-1b", "llama3-8b", "pythia-410m", "table3"]


def test_a_slice_is_named_by_its_content_and_written_at_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slices, asked = Slices("slices"), []

    def content(arm):
        asked.append(arm)
        return {"b": [1], "a": "ü"}

    path = Path(slices.file("finetune_model", content, "full.x.s0"))
    text = '{\n "a": "ü",\n "b": [\n  1\n ]\n}\n'
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert str(path) == f"slices/finetune_model/{name}.json"
    # The order of keys decides nothing, and what is asked for again is not made again.
    other = slices.file("finetune_model", lambda: {"a": "ü", "b": [1]})
    assert Path(other) == Path(slices.file("finetune_model", content, "full.x.s0")) == path
    assert asked == ["full.x.s0"]
    assert not Path("slices").exists()
    slices.write()
    assert path.read_text() == text
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    before = path.stat().st_ino
    slices.write()
    assert path.stat().st_ino == before


def test_in_a_job_on_another_machine_a_slice_is_written_as_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Slices("slices", at_once=True).file("one", lambda: {"a": 1})
    assert json.loads(Path(path).read_text()) == {"a": 1}


@dataclass
class Known:
    rate: float
    names: list[str]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "given.json: No such file or directory"),
        ('{"rate": 1', "given.json: not JSON: EOF while parsing"),
        ('{"rate": 1}', "given.json:1: key 'names' is missing"),
        ('{"rate": "1e-5",\n "names": []}', "given.json:1: rate = '1e-5': expected a valid number"),
        ('{"rate": 1,\n "names": [1]}', "given.json:2: names.0 = 1: expected a valid string"),
    ],
)
def test_a_broken_slice_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "given.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StudyError) as refusal:
        read_slice(path, Known)
    assert message in str(refusal.value)


@pytest.mark.parametrize("study", STUDIES)
def test_every_slice_of_a_study_is_of_the_type_its_program_reads(
    repository, tmp_path, monkeypatch, study
):
    monkeypatch.chdir(tmp_path)
    slices = Slices("slices", at_once=True)
    grid = named_study(repository / f"config/{study}.yaml")

    def there_and_back(content, schema):
        return read_slice(Path(slices.file("job", lambda: content)), schema)

    for dataset, split in grid.splits():
        content = split_slice(grid, dataset, split)
        assert there_and_back(content, SplitSlice) == content
    assert there_and_back(evaluation_slice(grid), EvaluationPlan) == evaluation_slice(grid)
    for dataset in grid.datasets:
        found = there_and_back(scored_slice(grid, dataset), ScoredSlice | TrainedSlice)
        assert found["scoring"] == scored_slice(grid, dataset)["scoring"]
    for name in checked_trainings(grid):
        found = there_and_back(trained_slice(grid, name), ScoredSlice | TrainedSlice)
        assert found == trained_slice(grid, name)
    collected = there_and_back(collection_slice(grid), CollectionSlice)
    assert collected["arms"] == collection_slice(grid)["arms"]
    assert there_and_back({"level": 0.9}, Settings) == Settings(level=0.9)
    paths = dict.fromkeys(("checkpoint", "train", "state", "output"), Path("x"))
    for name, arm in grid.arms.items():
        if arm.method:
            file = slices.file("finetune", lambda name=name: finetune_slice(grid, name))
            replay = Path("x") if grid.settings(name).replay else None
            request = read_request(Path(file), {}, **paths, replay=replay)
            assert (request.method, request.seed) == (arm.method, arm.seed)
            assert request.settings == grid.settings(arm.name)
