"""Slices: written once, read strictly, and of the types that programs read them as."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ptft.analysis.collect import CollectionSlice
from ptft.analysis.settings import Settings
from ptft.audit.study import AuditSlice
from ptft.data.prepare import SplitSlice
from ptft.evaluation.cells import EvaluationPlan
from ptft.files.slice_files import Slices, read_slice
from ptft.paths import Results
from ptft.study import StudyError, read_study
from ptft.study.slices import (
    audit_slice,
    collection_slice,
    evaluation_slice,
    finetune_slice,
    split_slice,
)
from ptft.training.job import read_request

STUDIES = ["pocket", "olmo-1b", "llama3-8b", "pythia-410m", "table3"]


@pytest.fixture
def slices(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Slices(Results("tiny"))


def test_a_slice_is_written_for_people_and_compared_as_one_line(slices):
    slices.add("finetune_model", "full.x.s0", content=lambda: {"b": [1], "a": "ü"})
    path = Path(slices.file("finetune_model", "full.x.s0"))
    assert str(path) == "results/tiny/state/slices/finetune_model/full.x.s0.json"
    assert slices.text("finetune_model", "full.x.s0") == '{"a": "ü", "b": [1]}'
    slices.write()
    assert path.read_text() == '{\n "a": "ü",\n "b": [\n  1\n ]\n}\n'
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_is_replaced_only_if_it_differs(slices):
    content = {"a": 1}
    slices.add("one", content=lambda: content)
    path = Path(slices.file("one"))
    slices.write()
    before = path.stat().st_ino
    slices.write()
    assert path.stat().st_ino == before
    content["a"] = 2
    slices.write(only_missing=True)
    assert json.loads(path.read_text()) == {"a": 1}
    slices.write()
    assert json.loads(path.read_text()) == {"a": 2}
    path.unlink()
    slices.write(only_missing=True)
    assert json.loads(path.read_text()) == {"a": 2}


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
        ('{"rate": "1e-5",\n "names": []}', "given.json:1: rate = '1e-5': expected a number"),
        ('{"rate": 1,\n "names": [1]}', "given.json:2: names.0 = 1: expected text, found a number"),
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
def test_every_slice_of_a_study_is_of_the_type_its_program_reads(repository, slices, study):
    file = repository / f"config/{study}.yaml"
    grid = read_study(yaml.safe_load(file.read_text()), [file], repository / "config")

    def there_and_back(content, schema):
        slices.add("job", content=lambda: content)
        slices.write()
        return read_slice(Path(slices.file("job")), schema)

    for dataset, split in grid.splits():
        content = split_slice(grid, dataset, split)
        assert there_and_back(content, SplitSlice) == content
    assert there_and_back(evaluation_slice(grid), EvaluationPlan) == evaluation_slice(grid)
    assert there_and_back(audit_slice(grid), AuditSlice)["scores"] == audit_slice(grid)["scores"]
    collected = there_and_back(collection_slice(grid), CollectionSlice)
    assert collected["arms"] == collection_slice(grid)["arms"]
    assert there_and_back({"level": 0.9}, Settings) == Settings(level=0.9)
    paths = dict.fromkeys(("checkpoint", "train", "state", "output"), Path("x"))
    for name, arm in grid.arms.items():
        if arm.method:
            there_and_back(finetune_slice(grid, name), dict)
            request = read_request(Path(slices.file("job")), **paths)
            assert (request.method, request.seed) == (arm.method, arm.seed)
            assert request.settings == grid.settings(arm.name)
