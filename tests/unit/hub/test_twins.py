"""Two checkpoints with the same weights are refused, from their pins or from disk."""

import pytest
import yaml
from slice_files import slice_file
from tiny import save_tiny_checkpoint

import audit_study
from ptft.hub.pins import Pin, PinnedFile, TwinsError, refuse_twins
from ptft.study import StudyError, read_study
from ptft.study.slices import audit_slice

NAMES = ["step1", "step2", "main"]


@pytest.fixture(params=["pins", "folders"])
def checkpoints(request, tmp_path):
    """Three checkpoints with notes of their own, and a function that sets one's weights."""
    paths = [tmp_path / (name + ".pin.json" * (request.param == "pins")) for name in NAMES]

    def write(number, content):
        if request.param == "folders":
            paths[number].mkdir(exist_ok=True)
            (paths[number] / "config.json").write_text(str(number))
            (paths[number] / "model.safetensors").write_bytes(content)
            return
        digests = {"config.json": str(number), "model.safetensors": str(hash(content))}
        files = [PinnedFile(name, 100_000, "sha256", digest) for name, digest in digests.items()]
        Pin("org/model", "model", "branch", str(number), tuple(files)).write(paths[number])

    for number in range(3):
        write(number, bytes([number]) * 100_000)
    return paths, write


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


EMPTY = {
    "splits": [],
    "sources": {},
    "templates": {},
    "shots_seed": 0,
    "scores": {},
    "tuning": {},
    "train_rows": {},
}


def test_the_audit_refuses_them_before_it_reads_any_data(tmp_path, capsys):
    folders = [save_tiny_checkpoint(tmp_path / name) for name in NAMES[1:]]
    listed = slice_file(tmp_path / "checkpoints.json", [str(folder) for folder in folders])
    arguments = ["--checkpoints", listed, "--model", str(folders[0])]
    for name in ("data", "splits", "prompts"):
        arguments += [f"--{name}", str(tmp_path / name)]
    with pytest.raises(SystemExit, match="step2 and main hold the same weights"):
        audit_study.main([*arguments, "--plan", slice_file(tmp_path / "plan.json", EMPTY)])


def test_what_is_allowed_must_be_a_checkpoint_of_the_study(repository):
    file = repository / "tests/studies/tiny.yaml"
    study = yaml.safe_load(file.read_text())
    allowed = read_study(study | {"same_weights": ["step16"]}, [file], repository / "config")
    assert audit_slice(allowed)["same_weights"] == ["step16"]
    with pytest.raises(StudyError, match="same_weights: unknown 'step17'.*step16"):
        read_study(study | {"same_weights": ["step17"]}, [file], repository / "config")
