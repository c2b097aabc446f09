"""Missing sources of a study: rows, roots and checkpoints, refused before any job."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from small_study import edit

from ptft.paths import Results
from ptft.study import StudyError, read_study
from ptft.study.sources import require_sources


@pytest.fixture
def missing(files, monkeypatch):
    """Look for what the study reads, called from its folder; what is missing, in words."""
    monkeypatch.chdir(files)

    def missing() -> str:
        study = Path("study.yaml")
        grid = read_study(yaml.safe_load(study.read_text()), [study], Path("config"))
        try:
            require_sources(grid)
        except StudyError as error:
            return str(error)
        return ""

    return missing


def test_a_file_of_rows_that_is_not_there(files, missing):
    assert missing() == (
        f"families/own.yaml:10: datasets.own.files.rows: rows.jsonl does not exist in {files}, "
        "where snakemake was called and paths begin; correct the path"
    )
    (files / "rows.jsonl").write_text("{}")
    assert missing() == ""


def test_rows_that_were_prepared_are_not_looked_for_again(files, missing):
    for split in ("train", "shots", "test"):
        prepared = files / Results("small").split("own", split)
        prepared.parent.mkdir(parents=True, exist_ok=True)
        prepared.write_text("")
    assert missing() == ""


def test_a_root_and_its_datasets(files, missing):
    (files / "rows.jsonl").write_text("{}")
    edit(files / "study.yaml", "resources/pocket", "hub")
    assert missing() == (
        f"study.yaml:4: root: hub does not exist in {files}, where snakemake was called and paths "
        "begin; correct the path"
    )
    folder = files / "hub/datasets/pocket/nli/default"
    folder.mkdir(parents=True)
    assert missing() == (
        "config/families/nli.yaml:44: datasets.pocket_nli.splits.train: unknown 'train'; "
        "known: none"
    )
    for split in ("train", "test"):
        (folder / f"{split}-00000-of-00001.parquet").write_text("")
    assert missing() == (
        f"study.yaml:4: root: hub/datasets/pocket/summary/default does not exist in {files}, "
        "where snakemake was called and paths begin; correct the path"
    )


def test_checkpoints_that_are_not_there(files, missing):
    (files / "rows.jsonl").write_text("{}")
    (files / "models/tiny.yaml").write_text(
        "source:\n  kind: folder\n  path: /nowhere\n  checkpoints:\n    step4: {step: 4}\n"
        "    step16: {step: 16}\n"
    )
    edit(files / "study.yaml", "root: resources/pocket", f"root: {files}")
    path = "models/tiny.yaml:3: source.path: /nowhere does not exist; correct the path"
    assert missing() == path
    edit(files / "models/tiny.yaml", "/nowhere", "run")
    (files / "run/step4").mkdir(parents=True)
    assert missing() == (
        f"models/tiny.yaml:6: source.checkpoints.step16: run/step16 does not exist in {files}, "
        "where snakemake was called and paths begin; correct the path"
    )


def write_model(folder: Path, width: int = 2, **config) -> None:
    """A folder that looks like a model of one weight."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["AForCausalLM"], **config}))
    (folder / "tokenizer.json").write_text("{}")
    weights = np.full((2, width), len(folder.name), dtype=np.float32)  # no two are the same
    save_file({"w": weights}, folder / "model.safetensors")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


IN_MODEL = [
    (lambda folder: (folder / "model.safetensors").unlink(), "{at} is not a model folder:"),
    (lambda folder: cut(folder / "model.safetensors"), "{at}/model.safetensors is cut short or no"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "{at} has no tokenizer: expected"),
    (
        lambda folder: (shutil.rmtree(folder), write_model(folder, width=3)),
        "{at} is of another architecture than the study's first checkpoint: the shape of",
    ),
]


@pytest.mark.parametrize(("spoil", "sentence"), IN_MODEL)
def test_a_mistake_in_a_model_folder(files, missing, spoil, sentence):
    (files / "rows.jsonl").write_text("{}")
    (files / "models/tiny.yaml").write_text(
        "source:\n  kind: folder\n  path: run\n  checkpoints: {step4: {}, step16: {}}\n"
    )
    edit(
        files / "study.yaml",
        "datasets: [pocket_nli, own, pocket_summary, pocket_facts]",
        "datasets: [own]",
    )
    edit(files / "study.yaml", "      pocket_nli: {lr: 5.0e-4}\n", "")
    for checkpoint in ("step4", "step16"):
        write_model(Path("run", checkpoint))
    assert missing() == ""
    spoil(Path("run/step16"))
    sentence = sentence.replace("{at}", "run/step16")
    assert missing().startswith(f"models/tiny.yaml:4: source.checkpoints.step16: {sentence}")
