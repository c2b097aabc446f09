"""Two checkpoints with the same weights are refused, from their pins or from disk."""

from pathlib import Path

import pytest
import yaml

from ptft.hub.pins import (
    ArchitectureError,
    Pin,
    PinnedFile,
    TwinsError,
    refuse_other_architectures,
    refuse_twins,
)
from ptft.study import StudyError, read_study

NAMES = ["step1", "step2", "main"]


@pytest.fixture(params=["pins", "folders"])
def checkpoints(request, tmp_path):
    """Three checkpoints with notes of their own, and a function that sets one's weights."""
    found: dict[str, Pin | Path] = {}

    def write(number, content):
        name = NAMES[number]
        if request.param == "folders":
            found[name] = folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / "config.json").write_text(str(number))
            (folder / "model.safetensors").write_bytes(content)
            return
        digests = {"config.json": str(number), "model.safetensors": str(hash(content))}
        files = [PinnedFile(path, 100_000, "sha256", digest) for path, digest in digests.items()]
        found[name] = Pin("org/model", "model", "branch", str(number), tuple(files))

    for number in range(3):
        write(number, bytes([number]) * 100_000)
    return found, write


def test_checkpoints_that_differ_pass(checkpoints):
    paths, write = checkpoints
    refuse_twins(paths, [])
    content = bytearray(bytes([0]) * 100_000)
    content[99_999] = 1  # beyond every sample that is read of a file
    write(2, bytes(content))
    refuse_twins(paths, [])
    write(2, bytes([0]) * 100_000)
    with pytest.raises(TwinsError):  # that byte alone made the difference
        refuse_twins(paths, [])


def test_equal_checkpoints_are_both_named_unless_it_is_allowed(checkpoints):
    paths, write = checkpoints
    write(2, bytes([0]) * 100_000)
    with pytest.raises(TwinsError, match="step1 and main hold.*`same_weights: .main.`"):
        refuse_twins(paths, ["step2"])
    refuse_twins(paths, ["main"])
    refuse_twins(paths, ["step1"])
    write(1, bytes([0]) * 100_000)
    with pytest.raises(TwinsError, match="step1 and step2 and main hold"):
        refuse_twins(paths, ["main"])
    refuse_twins(paths, ["main", "step2"])


def test_checkpoints_of_other_sizes_are_named():
    pins = {
        name: Pin("org/model", "model", "branch", name, (), sizes={"n_layer": 2, "n_embd": width})
        for name, width in zip(NAMES, (8, 8, 16), strict=True)
    }
    refuse_other_architectures({name: pins[name] for name in NAMES[:2]})
    # One that says nothing of a size is not refused for it.
    refuse_other_architectures(pins | {"main": Pin("org/model", "model", "branch", "main", ())})
    with pytest.raises(ArchitectureError) as refusal:
        refuse_other_architectures(pins)
    assert str(refusal.value).startswith(
        "checkpoint main is of another architecture than step1: its config.json has n_embd: 16, "
        "not 8"
    )


def test_what_is_allowed_must_be_a_checkpoint_of_the_study(repository):
    file = repository / "tests/studies/tiny.yaml"
    study = yaml.safe_load(file.read_text())
    allowed = read_study(study | {"same_weights": ["step16"]}, [file], repository / "config")
    assert allowed.study.same_weights == ["step16"]
    with pytest.raises(StudyError, match="same_weights: unknown 'step17'.*step16"):
        read_study(study | {"same_weights": ["step17"]}, [file], repository / "config")
