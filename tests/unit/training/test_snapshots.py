"""Snapshots: what a training leaves on its way is what a copy of it trains to, bit for bit."""

import copy
import json

import pytest
import torch
from plain_loop import plain_train
from safetensors.torch import load_file
from slice_files import slice_file
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, write_rows

import finetune_model
from ptft.models.loading import load_model, load_tokenizer
from ptft.models.snapshots import read, updates_of, written
from ptft.training.examples import completion_examples
from ptft.training.optimizer import Optimizer
from ptft.training.settings import TrainingSettings

SETTINGS = {"epochs": 2, "batch_size": 8, "lr": 3e-3}
WEIGHTS = {"full": "model.safetensors", "lora": "adapter_model.safetensors"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint folder and a training set of 40 rows: 10 updates."""
    folder = tmp_path_factory.mktemp("files")
    save_tiny_checkpoint(folder / "checkpoint")
    write_rows(tiny_rows(40), folder / "train.jsonl")
    return folder


def train(files, folder, arm, method="full", points=(), **request):
    """Run the program for an arm; its status."""
    request = {"method": method, "seed": 1, "template": TEMPLATE, "settings": SETTINGS} | request
    return finetune_model.main(
        [
            *("--checkpoint", str(files / "checkpoint"), "--train", str(files / "train.jsonl")),
            *("--state", str(folder / "state" / arm), "--output", str(folder / "models" / arm)),
            *("--threads", "1", "--settings", slice_file(folder / f"{arm}.json", request)),
            *(("--snapshots", *points) if points else ()),
        ]
    )


def same(one, other):
    one, other = load_file(one), load_file(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_is_left_on_the_way(files, tmp_path, method):
    alone, way, later = tmp_path / "alone", tmp_path / "way", tmp_path / "later"
    for folder in (alone, way, later):
        folder.mkdir()
    file, points = WEIGHTS[method], [f"{method}=4,0.7", "other=2"]
    assert train(files, alone, "arm", method) == 0
    assert train(files, way, "arm", method, points) == 0
    assert same(alone / f"models/arm/{file}", way / f"models/arm/{file}")
    left = way / "state/arm@step4/finished"
    # The job of a snapshot links what was left; one that finds nothing trains a copy to the last.
    assert train(files, way, "arm@step4", method, points, snapshot=4) == 0
    assert (way / f"models/arm@step4/{file}").samefile(left / file)
    assert train(files, later, "arm@step4", method, points, snapshot=4.0) == 0
    assert same(later / f"models/arm@step4/{file}", left / file)
    assert json.loads((later / "models/arm@step4/training.json").read_text())["steps"] == 4
    assert not (later / "state/arm@step2").exists()
    assert sorted(path.name for path in (later / "state").iterdir()) == ["arm@step0.7", "arm@step4"]
    assert train(files, later, "arm@step0.7", method, points, snapshot=0.7) == 0
    beyond = later / "state/arm@step0.7/finished" / file
    assert beyond.samefile(later / f"models/arm@step0.7/{file}")
    assert same(beyond, way / f"state/arm@step0.7/finished/{file}")
    share = json.loads((way / "state/arm@step0.7/finished/training.json").read_text())
    assert (share["steps"], share["snapshot"]) == (7, 0.7)
    assert not same(left / file, way / f"models/arm/{file}")


def test_a_snapshot_is_the_plain_loop_so_far(files, tmp_path):
    assert train(files, tmp_path, "arm", points=["full=4"]) == 0
    model = load_model(files / "checkpoint")
    rows = tiny_rows(40)
    examples = completion_examples(load_tokenizer(files / "checkpoint"), rows, TEMPLATE)
    plain_train(model, examples, TrainingSettings(**SETTINGS), 3e-3, seed=1, updates=4)
    left = load_model(tmp_path / "state/arm@step4/finished")
    for (name, ours), plain in zip(left.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-5, rtol=1e-3, msg=name)


def test_one_beyond_the_training_is_refused_before_it(files, tmp_path, capsys):
    assert train(files, tmp_path, "arm", points=["full=4,10"]) == 2
    error = capsys.readouterr().err
    assert "finetune.full.snapshots: found 10, expected a point before the last of 10" in error
    assert not (tmp_path / "models").exists() and not (tmp_path / "state/arm@step4").exists()


def test_points_as_updates():
    settings = TrainingSettings(epochs=3, batch_size=8)
    assert settings.count_updates(41) == 18
    assert updates_of([1, 17, 0.25, 0.01], settings.count_updates(41)) == {
        1: 1,
        17: 17,
        0.25: 4,
        0.01: 1,
    }
    points = {"full": [50.0, 0.25], "lora": [], "instruct": [1e6]}
    assert written(points) == ["full=50,0.25", "instruct=1000000"]
    assert read(written(points)) == {"full": [50, 0.25], "instruct": [1e6]}


def test_masters_go_on_where_they_were(files):
    """The model is whole for a moment; its layers then hold the masters, rounded, as before."""
    model = load_model(files / "checkpoint")
    optimizer = Optimizer(model, TrainingSettings(), masters=True)
    before = copy.deepcopy(model.state_dict())
    assert torch.bfloat16 in {weight.dtype for weight in before.values()}
    with optimizer.whole():
        assert {weight.dtype for weight in model.state_dict().values()} == {torch.float32}
    after = model.state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
