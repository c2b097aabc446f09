"""Fetching under faults: the right bytes or a clear error, and nothing fetched twice."""

import io
import os
import signal
import subprocess
import sys

import pytest
from server import CHUNK, Fault, Repository, noise
from tests.waiting import wait_until

from ptft.hub.client import HubError
from ptft.hub.fetch import check_disk, fetch, staging_folder
from ptft.hub.pins import pinned_folder
from ptft.hub.resolve import resolve_checkpoint

WEIGHTS = noise(25)


@pytest.fixture
def pin(hub):
    """The main checkpoint of the test's repository: two files, 25 chunks of weights."""
    return resolve_checkpoint({"repository": "org/tiny", "branch": "main"})


@pytest.fixture
def weights(pin) -> str:
    """Path of the weights on the server."""
    return f"/org/tiny/resolve/{pin.commit}/model.safetensors"


def assert_whole(folder) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not staging_folder(folder).exists()


CUT = Fault("cut", after=10 * CHUNK)
# What goes wrong, and how many chunks the server sends until the file is whole.
FAULTS = {
    "cut twice": ([CUT, Fault("cut", after=5 * CHUNK)], 25),
    "no range": ([CUT, Fault("no_range")], 35),
    "5xx": ([Fault("status", 500), Fault("status", 502), Fault("status", 504)], 25),
    "429": ([Fault("status", 429, headers={"Retry-After": "0"})], 25),
    "truncated": ([Fault("truncated", after=12 * CHUNK)], 25),
    "endless": ([Fault("endless")], 51),
    "cut and corrupt": ([CUT, Fault("corrupt")], 50),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_overcome(hub, pin, weights, tmp_path, name):
    faults, sent = FAULTS[name]
    hub.fail(weights, *faults)
    fetch(pin, tmp_path / "main")
    assert_whole(tmp_path / "main")
    assert hub.sent[weights] == sent * CHUNK


def test_a_stalled_connection_is_left_and_continued(hub, pin, weights, tmp_path, monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    close_session()  # the next one has that timeout
    hub.fail(weights, Fault("stall", after=7 * CHUNK))
    fetch(pin, tmp_path / "main")  # the server would never have gone on
    assert_whole(tmp_path / "main")
    assert hub.sent[weights] == len(WEIGHTS)


def test_lasting_corruption_is_refused_and_leaves_nothing(hub, pin, weights, tmp_path):
    hub.fail(weights, Fault("corrupt"), Fault("corrupt"))
    with pytest.raises(
        HubError, match=r"model.safetensors of org/tiny .* came damaged twice: found "
    ):
        fetch(pin, tmp_path / "main")
    assert not (tmp_path / "main").exists()
    assert [path.name for path in staging_folder(tmp_path / "main").iterdir()] == ["config.json"]


def test_a_lasting_outage_keeps_what_has_come(hub, pin, weights, tmp_path):
    hub.fail(weights, Fault("cut", after=10 * CHUNK), *[Fault("status", 503)] * 5)
    with pytest.raises(HubError, match="gave up after 5 attempts.*What has come so far is kept"):
        fetch(pin, tmp_path / "main")
    assert not (tmp_path / "main").exists()
    fetch(pin, tmp_path / "main")
    assert_whole(tmp_path / "main")
    assert hub.sent[weights] == len(WEIGHTS)
    assert hub.requests[weights.replace("model.safetensors", "config.json")] == 1


def test_a_part_of_another_commit_is_not_taken_for_this_one(hub, pin, weights, tmp_path):
    hub.fail(weights, Fault("cut", after=10 * CHUNK), *[Fault("status", 503)] * 5)
    with pytest.raises(HubError):
        fetch(pin, tmp_path / "main")
    hub.models["org/tiny"].branches["main"]["model.safetensors"] = noise(25, seed=9)
    moved = resolve_checkpoint({"repository": "org/tiny", "branch": "main"})
    fetch(moved, tmp_path / "main")
    assert (tmp_path / "main/model.safetensors").read_bytes() == noise(25, seed=9)
    assert len(list((tmp_path / "main").iterdir())) == 2


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("hf_wrong", 403)])
def test_a_gated_repository_says_how_to_get_in(hub, pin, tmp_path, monkeypatch, token, status):
    hub.models["org/tiny"].gated, hub.token = True, "hf_right"
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    page = rf"accept its terms on its page \({hub.endpoint}/org/tiny\), .*HF_TOKEN"
    with pytest.raises(HubError, match=page):
        fetch(pin, tmp_path / "main")
    assert not (tmp_path / "main").exists()


def test_a_token_opens_the_gate_and_is_written_nowhere(hub, pin, tmp_path, monkeypatch, caplog):
    hub.models["org/tiny"].gated, hub.token = True, "hf_right"
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    pin.write(tmp_path / "main.pin.json")
    with caplog.at_level("DEBUG"):
        fetch(pin, tmp_path / "main")
    assert_whole(tmp_path / "main")
    assert hub.seen_tokens == {"hf_right"}
    assert "hf_right" not in caplog.text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hf_right" not in path.read_bytes()


def test_without_a_network_it_says_what_to_run(hub, pin, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = sum(hub.requests.values())
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set.*run `snakemake fetch`"):
        fetch(pin, tmp_path / "main")
    assert sum(hub.requests.values()) == asked


def test_a_disk_too_small_is_told_before(hub, pin, tmp_path, monkeypatch):
    from ptft.hub import fetch as module

    pin.write(tmp_path / "main.pin.json")
    (tmp_path / "other").mkdir()
    pin.write(tmp_path / "other.pin.json")  # this one is there already
    free = module.SPARE + pin.size - 1
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    pins = [tmp_path / "main.pin.json", tmp_path / "other.pin.json"]
    with pytest.raises(HubError, match=r"0.0 GB are to be fetched in all.*has 0.3 GB left"):
        check_disk(pins, tmp_path)
    check_disk(pins[1:], tmp_path)


def test_a_disk_that_fills_up_is_told_and_not_waited_for(hub, pin, weights, tmp_path):
    whole = next(file for file in pin.files if file.path == "model.safetensors")
    staging = staging_folder(tmp_path / "main")
    staging.mkdir()
    (staging / f"model.safetensors.{whole.digest[:12]}.part").symlink_to("/dev/full")
    with pytest.raises(HubError, match="the disk is full"):
        fetch(pin, tmp_path / "main")
    assert hub.requests[weights] == 1
    assert not (tmp_path / "main").exists()


def test_a_refused_folder_does_not_count_as_fetched(hub, pin, weights, tmp_path):
    def refuse(_folder):
        raise HubError("of no use")

    with pytest.raises(HubError, match="of no use"):
        fetch(pin, tmp_path / "main", refuse)
    assert not (tmp_path / "main").exists()
    fetch(pin, tmp_path / "main")
    assert hub.requests[weights] == 1


BLOCK = 10 << 20


@pytest.fixture
def large(hub):
    """A file of two and a half blocks, that stalls after the second."""
    import random

    content = random.Random(5).randbytes(BLOCK * 5 // 2)
    hub.datasets["org/large"] = Repository({"main": {"train.parquet": content}})
    commit = hub.datasets["org/large"].commit("main")
    path = f"/datasets/org/large/resolve/{commit}/train.parquet"
    hub.fail(path, Fault("stall", after=2 * BLOCK))
    return content, path


def test_a_killed_process_goes_on_where_it_was(hub, large, tmp_path, repository):
    from ptft.hub.resolve import resolve_split

    content, path = large
    pin = tmp_path / "train.pin.json"
    resolve_split("org/large", "default", "train", None).write(pin)
    command = [sys.executable, str(repository / "scripts/fetch_pin.py"), "--pin", str(pin)]
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    staging = staging_folder(pinned_folder(pin))

    def two_blocks():
        return sum(part.stat().st_size for part in staging.glob("*.part")) >= 2 * BLOCK

    wait_until(two_blocks, "two blocks are fetched", first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not pinned_folder(pin).exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (pinned_folder(pin) / "train.parquet").read_bytes() == content
    assert hub.sent[path] == len(content)
    assert hub.requests[path] == 2


def test_files_of_one_name_in_several_folders_are_kept(hub, tmp_path):
    import polars as pl

    from ptft import paths
    from ptft.data.rows import read_rows
    from ptft.hub.resolve import resolve_split

    def rows(first: int) -> bytes:
        content = io.BytesIO()
        pl.DataFrame({"n": range(first, first + 10)}).write_parquet(content)
        return content.getvalue()

    names = ["data/train.parquet", "default/train.parquet", "train.parquet"]
    files = {name: rows(10 * number) for number, name in enumerate(names)}
    hub.datasets["org/split"] = Repository({"main": files})
    target = tmp_path / paths.hub_split("org/split", "default", "train").removeprefix(paths.HUB)[1:]
    fetch(resolve_split("org/split", "default", "train", None), target)
    assert (target / "default/train.parquet").read_bytes() == files["default/train.parquet"]
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.lock"))
    description = {"repository": "org/split", "config": "default"}
    assert [row["n"] for row in read_rows(tmp_path, description, "train")] == list(range(30))
