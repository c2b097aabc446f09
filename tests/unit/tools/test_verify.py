"""Fetched files against their pins; the other damages are in ``tests/workflow/test_storage.py``."""

import hashlib
import json
from pathlib import Path

import pytest

from ptft.evaluation.records import write_cells_record
from ptft.files import Slices
from ptft.hub.pins import Pin, PinnedFile
from ptft.paths import Results
from ptft.study import named_study
from ptft.study.slices import evaluation_slice
from ptft.tools.clean import Deletable
from ptft.tools.verify import Verification

CONTENT = b"the weights"


@pytest.fixture
def grid(repository):
    return named_study(repository / "config/pythia-410m.yaml")


@pytest.fixture
def fetched(grid, tmp_path):
    """A checkpoint's folder as its pin says; no other one is there."""
    folder = tmp_path / next(iter(grid.fetched_checkpoints()))
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    pinned = PinnedFile("model.safetensors", len(CONTENT), "sha256", digest)
    pin = folder.with_name(f"{folder.name}.pin.json")
    Pin("o/m", "model", "main", "c" * 40, (pinned,)).write(pin)
    return folder, pin


def edited(pin):
    content = json.loads(pin.read_text())
    content["files"][0]["digest"] = "0" * 64
    pin.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "named", "words"),
    [
        (lambda folder, pin: None, None, None),
        (lambda folder, pin: edited(pin), "model.safetensors", "expected 0000"),
        (lambda folder, pin: pin.write_text("{"), "", "is no pin"),
        (lambda folder, pin: pin.unlink(), "", "is not there; run `snakemake fetch`"),
        (
            lambda folder, pin: (folder / "model.safetensors").write_bytes(CONTENT[:-1]),
            "model.safetensors",
            "found 10 bytes, expected 11; remove ",
        ),
        (
            lambda folder, pin: (folder / "model.safetensors").unlink(),
            "model.safetensors",
            "is not there; remove ",
        ),
        (lambda folder, pin: (folder / "own.txt").touch(), "own.txt", "is not among the files of"),
    ],
)
def test_a_fetched_folder_is_what_its_pin_says(grid, fetched, tmp_path, damage, named, words):
    folder, pin = fetched
    damage(folder, pin)
    lines = [str(finding) for finding in Verification(grid, tmp_path)._pins()]
    own = [line for line in lines if str(folder) in line.split(": ")[0]]
    if named is None:
        assert own == []
        return
    [line] = own
    assert line.startswith(f"{folder / named if named else pin}: ")
    assert words in line


def test_a_slice_that_no_record_names_is_found_and_can_be_deleted(grid, tmp_path):
    """Not that of a record, nor the study's own, by which cells are scored next."""
    results = Results(grid.name)
    current = Path(Slices(results.slices).file("evaluate_model", evaluation_slice, grid, "base"))
    named, old = (f"{results.slices}/evaluate_model/{name}.json" for name in ("named", "old"))
    for slice_ in (current, named, old):
        (tmp_path / slice_).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / slice_).write_text("{}")
    write_cells_record({}, tmp_path / results.scored_model("main", "base"), named)
    assert [finding.path for finding in Verification(grid, tmp_path)._slices()] == [tmp_path / old]
    [slices] = [kind for kind in Deletable(grid, tmp_path).kinds() if kind.name == "slices"]
    assert slices.places == [tmp_path / old]
