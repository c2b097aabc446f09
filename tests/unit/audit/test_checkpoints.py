"""Checkpoints of different architectures are refused, whether they are given or were fetched."""

import pytest
from slice_files import slice_file
from tiny import save_tiny_checkpoint

import audit_study
from ptft.audit.checkpoints import refuse_other_architectures
from ptft.audit.training import AuditError
from ptft.hub.pins import Pin, PinnedFile

NOTHING = {
    "splits": [],
    "sources": {},
    "templates": {},
    "shots_seed": 0,
    "scores": {},
    "tuning": {},
    "train_rows": {},
}


@pytest.fixture
def other(tmp_path):
    """A deeper model beside two of one architecture."""
    for name in ("step1", "step2"):
        save_tiny_checkpoint(tmp_path / name)
    return save_tiny_checkpoint(tmp_path / "main", num_hidden_layers=3)


def test_another_architecture_is_named(tmp_path, other):
    refuse_other_architectures([tmp_path / "step1", tmp_path / "step2"])
    with pytest.raises(AuditError) as refusal:
        refuse_other_architectures([tmp_path / "step1", tmp_path / "step2", other])
    assert str(refusal.value).startswith(
        f"{other} is of another architecture than the study's first checkpoint: the shape of "
        "model.layers.2."
    )
    assert str(refusal.value).endswith(
        "not None; leave it out, or correct its `branch` or `repository` in the model's file"
    )


def test_the_audit_compares_what_was_fetched(tmp_path, other):
    """By their pins: the Hub's checkpoints come without a look at their shapes."""
    pins = [tmp_path / f"{name}.pin.json" for name in ("step1", "main")]
    for number, pin in enumerate(pins):
        files = (PinnedFile("model.safetensors", 1, "sha256", str(number)),)
        Pin("org/model", "model", "branch", str(number), files).write(pin)
    arguments = ["--checkpoints", slice_file(tmp_path / "pins.json", [str(pin) for pin in pins])]
    arguments += ["--model", str(tmp_path / "step1")]
    for name in ("data", "splits", "prompts"):
        arguments += [f"--{name}", str(tmp_path / name)]
    with pytest.raises(SystemExit, match="error: .*/main is of another architecture than"):
        audit_study.main([*arguments, "--plan", slice_file(tmp_path / "plan.json", NOTHING)])
