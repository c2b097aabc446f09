"""finetune_model.py from files to a finished folder: what it writes, refuses and survives."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from slice_files import slice_file
from tests.waiting import Stops
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, write_rows

import finetune_model
from ptft.models.loading import load_model, load_tuned
from ptft.runtime.job_records import RECORD, read_records, recorded

SETTINGS = {"epochs": 12, "batch_size": 8, "lr": 3e-3}
VALIDATED = SETTINGS | {"validation_examples": 32, "validation_steps": [10]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint folder and a training set of 160 rows."""
    folder = tmp_path_factory.mktemp("files")
    save_tiny_checkpoint(folder / "checkpoint")
    write_rows(tiny_rows(160), folder / "train.jsonl")
    return folder


def arguments(files, tmp_path, method="full", template=TEMPLATE, settings=SETTINGS, **request):
    request = {"method": method, "seed": 1, "template": template, "settings": settings} | request
    return [
        *("--checkpoint", str(files / "checkpoint"), "--train", str(files / "train.jsonl")),
        *("--state", str(tmp_path / "state"), "--output", str(tmp_path / "model")),
        *("--threads", "1", "--settings", slice_file(tmp_path / "request.json", request)),
    ]


def weights(folder):
    return load_model(folder).state_dict()


def assert_same_weights(one, other):
    for name, value in weights(one).items():
        assert torch.equal(value, weights(other)[name]), name


def left_in(folder):
    """Files that a run leaves: folders, two levels deep, and files beside the model's."""
    found = [*folder.iterdir(), *(folder / "state").iterdir()]
    return sorted(str(path.relative_to(folder)) for path in found if path.name != "request.json")


@pytest.fixture(scope="module")
def undisturbed(files, tmp_path_factory):
    """The folder of a run that nothing disturbed, with validation."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finetune_model.main(arguments(files, folder, settings=VALIDATED)) == 0
    return folder


def test_finished_folder_holds_model_curve_and_summary(undisturbed):
    assert left_in(undisturbed) == ["model", "state", "state/finished"]  # no lock, no state
    model = undisturbed / "model"
    summary = json.loads((model / "training.json").read_text())
    assert summary["steps"] == 192 and summary["examples"] == 12 * 128
    assert summary["validation_examples"] == 32 and summary["lr"] == 3e-3
    assert summary["peak_memory_bytes"] > 50e6
    curve = pl.read_parquet(model / "curve.parquet")
    assert curve["step"].to_list() == list(range(193))
    measured = curve.drop_nulls("validation_loss")
    assert measured["step"].to_list() == [0, 10, 192]
    assert measured["validation_loss"][0] > 4 and measured["validation_loss"][2] < 1
    assert measured["validation_exact"][0] == 0 and measured["validation_exact"][2] > 0.5
    assert curve["loss"][192] == summary["loss"]
    assert load_tuned(model)(torch.tensor([[3, 12]])).logits.shape == (1, 2, 64)


def test_a_finished_run_is_not_repeated_and_another_one_takes_its_place(
    files, undisturbed, tmp_path
):
    for name in ("model", "state"):
        shutil.copytree(undisturbed / name, tmp_path / name)
    written = (tmp_path / "model/training.json").stat().st_mtime_ns
    assert finetune_model.main(arguments(files, tmp_path, settings=VALIDATED)) == 0
    assert (tmp_path / "model/training.json").stat().st_mtime_ns == written
    other = SETTINGS | {"lr": 1e-3, "epochs": 1}
    assert finetune_model.main(arguments(files, tmp_path, settings=other)) == 0
    assert json.loads((tmp_path / "model/training.json").read_text())["lr"] == 1e-3


@pytest.mark.slow
def test_a_run_that_is_told_to_end_resumes_to_the_same_weights(
    files, undisturbed, tmp_path, monkeypatch
):
    """One that is killed: tests/workflow/test_recovery.py."""
    again = arguments(files, tmp_path, settings=VALIDATED | {"save_steps": 9})
    script = Path(finetune_model.__file__)
    stops = Stops(tmp_path / "stops", "*/state.pt")
    process = subprocess.Popen(
        [sys.executable, str(script), *again],
        stderr=subprocess.PIPE,
        text=True,
        env=stops.environment(),
    )
    state, stopped = stops.next(process)
    assert stopped == process.pid
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate()
    assert process.returncode == 143, errors
    assert not (tmp_path / "model").exists()
    done = torch.load(state, weights_only=True)["step"]
    assert 9 <= done < 192
    with recorded(tmp_path / "jobs", []) as (record, _):
        monkeypatch.setenv(RECORD, str(record))
        assert finetune_model.main(again) == 0
    assert read_records(tmp_path / "jobs")[0].resumed_from == done
    for folder in ("stops", "jobs"):
        shutil.rmtree(tmp_path / folder)
    assert_same_weights(tmp_path / "model", undisturbed / "model")
    curves = [
        pl.read_parquet(folder / "model/curve.parquet").drop("seconds")
        for folder in (tmp_path, undisturbed)
    ]
    assert curves[0].equals(curves[1])
    assert left_in(tmp_path) == ["model", "state", "state/finished"]


def test_a_finished_model_that_was_thrown_away_is_not_trained_again(files, tmp_path, monkeypatch):
    settings = SETTINGS | {"epochs": 1}
    again = arguments(files, tmp_path, settings=settings)
    assert finetune_model.main(again) == 0
    weights_file = tmp_path / "model/model.safetensors"
    before = weights_file.stat().st_ino
    shutil.rmtree(tmp_path / "model")
    with recorded(tmp_path / "jobs", []) as (record, _):
        monkeypatch.setenv(RECORD, str(record))
        assert finetune_model.main(again) == 0
    assert read_records(tmp_path / "jobs")[0].reused == 1
    assert weights_file.stat().st_ino == before  # a link, not a copy
    other = arguments(files, tmp_path, settings=settings | {"lr": 1e-3})
    shutil.rmtree(tmp_path / "model")
    assert finetune_model.main(other) == 0
    assert json.loads((tmp_path / "model/training.json").read_text())["lr"] == 1e-3


@pytest.mark.parametrize("changes", [{"save_steps": 5}, {}])
def test_full_disk_ends_in_an_error_and_without_a_model(files, tmp_path, capsys, changes):
    """A limit on file sizes stands for it, when state is saved or only the finished model."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        status = finetune_model.main(
            arguments(files, tmp_path, settings=SETTINGS | {"epochs": 1} | changes)
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert "File too large" in capsys.readouterr().err
    assert not list(tmp_path.glob("*model*")) and not list(tmp_path.glob("state/*"))


@pytest.mark.parametrize(
    ("method", "lr", "verdict"), [("full", 1e-3, "constant"), ("full", 1e-46, "not moved"),
                                  ("lora", 1e-46, "not moved")]
)  # fmt: skip
def test_one_update_moves_the_model_and_one_that_does_not_is_said(
    files, tmp_path, caplog, method, lr, verdict
):
    settings = {"epochs": 1, "batch_size": 160, "lr": lr}
    assert finetune_model.main(arguments(files, tmp_path, method, settings=settings)) == 0
    summary = json.loads((tmp_path / "model/training.json").read_text())
    assert summary["steps"] == 1 and summary["verdict"] == verdict
    assert (summary["final_loss"] < summary["start_loss"]) == (verdict == "constant")
    assert ("did not learn (not moved)" in caplog.text) == (verdict == "not moved")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "prefix"}, "request.json:1: method = 'prefix': expected 'full', 'lora'"),
        ({"settings": {"epoch": 3}}, "settings.epoch = 3: Unexpected keyword"),
        ({"settings": {"lr": "1e-5"}}, "settings.lr = '1e-5': expected a valid number"),
        ({"settings": {"lr": -1.0}}, "lr: found -1.0, expected a number above 0"),
        ({"template": "{premise} ? "}, "names the field 'premise'"),
        ({"settings": {"batch_size": 161}}, "160 training examples are fewer than batch_size=161"),
        ({"settings": {"max_length": 2}}, "keep no completion token within max_length=2"),
        ({"template": "# {text}" + " w1" * 70}, "keep no completion token within max_length=64"),
        ({"settings": {"validation_examples": 160}}, "leaves none of 160"),
        ({"settings": {"validation_steps": [5]}}, "because validation_steps is set"),
        ({"training_version": 0}, "training_version: found 0"),
        ({"rate": 1}, "request.json:1: rate = 1: "),
    ],
)
def test_bad_requests_are_refused_before_training(files, tmp_path, capsys, changes, message):
    assert finetune_model.main(arguments(files, tmp_path, **changes)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "model").exists() and not (tmp_path / "state").exists()


def test_prompts_beyond_the_context_are_shortened_and_counted(files, tmp_path):
    """The context holds 64 tokens: 40 of the template, the answer, its end and 22 of the text."""
    changes = {"template": "{text}" + " w1" * 40, "settings": {"epochs": 1, "max_length": 2048}}
    assert finetune_model.main(arguments(files, tmp_path, **changes)) == 0
    summary = json.loads((tmp_path / "model/training.json").read_text())
    rows = [json.loads(line) for line in (files / "train.jsonl").read_text().splitlines()]
    long = sum(len(row["fields"]["text"].split()) > 22 for row in rows)
    assert 10 < summary["cut_examples"] == long < len(rows)
    assert (summary["train_examples"], summary["dropped_examples"]) == (len(rows), [])
