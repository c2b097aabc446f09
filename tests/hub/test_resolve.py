"""From the names of a study to commits and files, as the Hub lists them."""

import pytest
from server import Repository, noise

from ptft.hub.client import HubError
from ptft.hub.fetch import fetch
from ptft.hub.pins import Pin, fill_in
from ptft.hub.resolve import resolve_checkpoint, resolve_metric, resolve_split

BRANCHES = r"step(?P<step>\d+)-tokens(?P<tokens>\d+)B"


def source(**changes) -> dict:
    return {"repository": "org/tiny", "branches": BRANCHES, "branch": None, "step": None, **changes}


def test_a_step_is_looked_up_among_the_branches(hub):
    pin = resolve_checkpoint(source(step=425000))
    assert pin.revision == "step425000-tokens1781B"
    assert pin.commit == hub.models["org/tiny"].commit("step425000-tokens1781B")
    assert (pin.step, pin.tokens) == (425000, 1_781_000_000_000)
    assert [file.path for file in pin.files] == ["config.json", "model.safetensors"]
    assert [file.algorithm for file in pin.files] == ["git", "sha256"]
    assert pin.size == 2 + 3 * 4096


def test_an_absent_step_lists_the_nearest(hub):
    with pytest.raises(HubError) as refusal:
        resolve_checkpoint(source(step=342000))
    assert str(refusal.value) == (
        "org/tiny has no checkpoint of step 342000; the nearest are step1000, step2000, "
        "step425000, step738020 (of 4)"
    )


def test_an_absent_branch_lists_those_that_are_there(hub):
    with pytest.raises(HubError, match="org/tiny has no branch 'final'; it has main, step1000"):
        resolve_checkpoint(source(branch="final"))


def test_two_branches_of_a_step_are_not_guessed_between(hub):
    files = {"config.json": b"{}", "model.safetensors": noise(1)}
    hub.models["org/two"] = Repository(
        {"stage1-step5-tokens1B": files, "step5-tokens1B": files, "stage1-step6-tokens1B": files}
    )
    two = source(repository="org/two", branches="(stage1-)?" + BRANCHES)
    with pytest.raises(HubError, match="more than one branch of step 5: stage1-step5.*, step5-"):
        resolve_checkpoint({**two, "step": 5})
    assert resolve_checkpoint({**two, "step": 6}).revision == "stage1-step6-tokens1B"


def test_a_pattern_that_matches_nothing_is_named(hub):
    with pytest.raises(HubError, match=r"no branch of org/tiny matches the pattern 'ckpt"):
        resolve_checkpoint(source(branches=r"ckpt(?P<step>\d+)", step=1))


MODEL = {"config.json": b"{}", "model.safetensors": b"w"}
ALPHABET = {"tokenizer.json": b"{}", "tokenizer_config.json": b"{}"}


def inside(folder: str, files: dict) -> dict:
    return {f"{folder}/{name}": content for name, content in files.items()}


def test_a_folder_per_step_is_looked_up(hub, tmp_path):
    files = {**inside("step_100", MODEL), **inside("step_250", {**MODEL, **ALPHABET}), **ALPHABET}
    hub.models["org/folders"] = Repository({"main": files})
    folders = source(repository="org/folders", branches=None, subfolders=r"step_(?P<step>\d+)")
    pin = resolve_checkpoint({**folders, "named_step": 250})
    assert (pin.revision, pin.step) == ("main", 250)
    assert {place: file.path for place, file in pin.places().items()} == {
        name: f"step_250/{name}" for name in {**MODEL, **ALPHABET}
    }
    with pytest.raises(HubError, match=r"org/folders \(main\) has no checkpoint of step 200; the"):
        resolve_checkpoint({**folders, "named_step": 200})
    named = source(repository="org/folders", branches=None, branch="main", subfolder="step_100")
    tokenizer = {"repository": "org/folders", "revision": "main"}
    pin = resolve_checkpoint({**named, "step": 100, "tokenizer": tokenizer})
    assert {place: file.path for place, file in pin.places().items()} == {
        **{name: f"step_100/{name}" for name in MODEL},
        **{name: name for name in ALPHABET},
    }
    fetch(pin, tmp_path / "step100")
    assert {path.name for path in (tmp_path / "step100").iterdir()} == {*MODEL, *ALPHABET}
    with pytest.raises(HubError, match=r"org/folders \(main, step_7\) is not a model in the Hub's"):
        resolve_checkpoint({**named, "subfolder": "step_7"})


def test_a_tokenizer_of_another_repository_is_fetched_beside_the_weights(hub, tmp_path):
    hub.models["org/bare"] = Repository({"main": {**MODEL, "tokenizer.json": b"another"}})
    hub.models["org/words"] = Repository({"v2": ALPHABET, "main": {"README.md": b"x"}})
    other = {"repository": "org/words", "revision": "v2"}
    pin = resolve_checkpoint({**source(repository="org/bare", branch="main"), "tokenizer": other})
    fetch(pin, tmp_path / "main")
    assert (tmp_path / "main/tokenizer.json").read_bytes() == ALPHABET["tokenizer.json"]
    pin.write(tmp_path / "main.pin.json")
    assert Pin.read(tmp_path / "main.pin.json") == pin
    with pytest.raises(
        HubError, match=r"org/words \(main\) has no tokenizer: found README.md, exp"
    ):
        resolve_checkpoint(
            {
                **source(repository="org/bare", branch="main"),
                "tokenizer": {**other, "revision": "main"},
            }
        )


def test_only_needed_files_are_pinned(hub):
    shards = {f"model-0000{n}-of-00002.safetensors": noise(1, n) for n in (1, 2)}
    needed = {"config.json", "tokenizer.json", "model.safetensors.index.json", *shards}
    files = dict.fromkeys([*needed, "README.md", "tf_model.h5", "pytorch_model.bin"], b"x")
    files |= shards | {"original/consolidated.00.pth": b"x", "model.safetensors": b"x"}
    hub.models["org/sharded"] = Repository({"main": files})
    pin = resolve_checkpoint(source(repository="org/sharded", branch="main"))
    assert {file.path for file in pin.files} == needed


def test_pickled_weights_are_taken_only_if_the_study_says_so(hub):
    files = {"config.json": b"{}", "pytorch_model.bin": noise(1)}
    hub.models["org/pickled"] = Repository({"main": files})
    pickled = source(repository="org/pickled", branch="main")
    with pytest.raises(HubError, match="pytorch_model.bin only.*set `allow_pickle: true`"):
        resolve_checkpoint(pickled)
    pin = resolve_checkpoint({**pickled, "allow_pickle": True})
    assert [file.path for file in pin.files] == ["config.json", "pytorch_model.bin"]


def test_a_repository_without_a_model_is_refused(hub):
    hub.models["org/empty"] = Repository({"main": {"README.md": b"x"}})
    with pytest.raises(HubError, match="not a model in the Hub's layout.*found README.md"):
        resolve_checkpoint(source(repository="org/empty", branch="main"))


def test_an_absent_repository(hub):
    with pytest.raises(HubError, match="listing the branches of org/none: no such repository"):
        resolve_checkpoint(source(repository="org/none", branch="main"))


def test_pins_complete_what_a_study_knows(hub, tmp_path):
    path = tmp_path / "step1000.pin.json"
    resolve_checkpoint(source(step=1000)).write(path)
    checkpoints = {"step1000": {"step": 1000, "tokens": None}, "main": {"step": None}}
    fill_in(checkpoints, [path])
    assert checkpoints == {
        "step1000": {"step": 1000, "tokens": 4_000_000_000},
        "main": {"step": None},
    }


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ("mnli", "mnli/train-00000-of-00001.parquet"),
        ("mnli", "mnli/train-00000-of-00001-0a1b2c3d4e5f6a7b.parquet"),
        ("default", "data/train-00000-of-00002.parquet"),
        ("default", "train.parquet"),
        ("default", "default/train/0000.parquet"),
    ],
)
def test_splits_are_found_in_every_layout(hub, config, path):
    others = {"README.md": b"x", "mnli/training-00000-of-00001.parquet": b"x", "x.csv": b"x"}
    hub.datasets["org/data"] = Repository({"main": {path: b"rows", **others}})
    pin = resolve_split("org/data", config, "train", None)
    assert [file.path for file in pin.files] == [path]
    assert pin.revision == "main"


def test_scripts_are_passed_over_for_converted_data(hub):
    converted = {"english/test/0000.parquet": b"a", "english/test/0001.parquet": b"b"}
    hub.datasets["org/script"] = Repository(
        {"main": {"script.py": b"import os"}, "refs/convert/parquet": converted}
    )
    pin = resolve_split("org/script", "english", "test", None)
    assert pin.revision == "refs/convert/parquet"
    assert [file.path for file in pin.files] == sorted(converted)


def test_a_dataset_with_one_configuration_needs_no_name(hub):
    files = {"plain/test.parquet": b"x", "README.md": b"y"}
    hub.datasets["org/data"] = Repository({"main": files})
    pin = resolve_split("org/data", "default", "test", None)
    assert [file.path for file in pin.files] == ["plain/test.parquet"]
    hub.datasets["org/data"].move("main", {**files, "other/test.parquet": b"z"})
    with pytest.raises(HubError, match="no parquet files of config 'default'"):
        resolve_split("org/data", "default", "test", None)


def test_an_absent_split_lists_what_there_is(hub):
    hub.datasets["org/data"] = Repository({"main": {"mnli/train.parquet": b"x", "README.md": b"y"}})
    with pytest.raises(
        HubError, match="config 'mnli', split 'test'. It has on main: mnli/train.pa"
    ):
        resolve_split("org/data", "mnli", "test", None)


def test_a_missing_revision_of_a_data_set(hub):
    hub.datasets["org/data"] = Repository({"main": {"train.parquet": b"x"}})
    with pytest.raises(HubError, match="looking up v9 of the dataset org/data: no such branch"):
        resolve_split("org/data", "default", "train", "v9")


def test_a_metric_is_pinned_without_its_page(hub, tmp_path):
    files = {"chrf.py": b"a = 1", "part.py": b"", "app.py": b"import gradio", "README.md": b"x"}
    hub.spaces["evaluate-metric/chrf"] = Repository({"main": {}, "v1": files})
    pin = resolve_metric("chrf", "evaluate-metric/chrf", "v1")
    assert [file.path for file in pin.files] == ["chrf.py", "part.py"]
    fetch(pin, tmp_path / "chrf")
    assert (tmp_path / "chrf/chrf.py").read_bytes() == b"a = 1"
    with pytest.raises(HubError, match=r"evaluate-metric/chrf \(main\) has no chrf.py; it has "):
        resolve_metric("chrf", "evaluate-metric/chrf", "main")
    with pytest.raises(HubError, match="looking up main of the metric evaluate-metric/x: no such"):
        resolve_metric("x", "evaluate-metric/x", "main")
