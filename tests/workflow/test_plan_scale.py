"""Plans at the paper's size and beyond: how long they take, and what an edit makes again."""

import dataclasses
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from ptft.figures import drawn_together, figures_of
from ptft.hub.pins import Pin, PinnedFile
from ptft.paths import Results
from ptft.study import read_study
from ptft.study.sources import references

from .conftest import make_clone

STUDY = "config/olmo-1b.yaml"
TAIL = {"make_report": 1, "all": 1}
TABLES = {
    "collect_cells": 1,
    "analyse_cells": 1,
    "write_examples": 1,
    "compare_models": 1,
    **{f"plot_{module}": 1 for module in drawn_together(figures_of(["examples", "formats"]))},
    **TAIL,
}
# Of files that the Snakefile reads, by their folders or names.
CONTENTS = {
    "scored": '{"slice": null, "cells": {}}',
    "tokenizer.json": '{"sha256": "", "context_length": 1, "checkpoint": "nowhere"}',
}
BASE, TUNED, CHECKPOINTS = 1, 5, 8

# One worker, so that the paper's finished study is made up once.
pytestmark = pytest.mark.xdist_group("paper")


@pytest.fixture(scope="module")
def benchmark_module(repository):
    """benchmarks/planning.py, whose dry runs are measured here too."""
    sys.path.insert(0, str(repository / "benchmarks"))
    try:
        import planning
    finally:
        sys.path.pop(0)
    return planning


def test_a_plan_grows_no_faster_than_its_cells(repository, tmp_path, benchmark_module):
    """The paper's grid, and one of 7.5 times the cells; `make bench` goes on to 42 times."""
    study = tmp_path / "large.yaml"
    study.write_text(yaml.safe_dump(benchmark_module.large_study(benchmark_module.SIZES[1])))
    paper = benchmark_module.dry_run(repository / STUDY, tmp_path)
    large = benchmark_module.dry_run(study, tmp_path)
    assert paper.models == CHECKPOINTS * (BASE + TUNED) and paper.cells == 2400
    assert large.models == 40 * (1 + 4 * 2) and large.cells == 18_000
    assert large.cpu_seconds / paper.cpu_seconds < large.cells / paper.cells
    assert paper.peak_gib < 0.5 and large.peak_gib < 0.5


@pytest.fixture(scope="module")
def finished_paper(repository, tmp_path_factory):
    """The paper's study as if it had run: every output exists, with Snakemake's records of it."""
    clone = make_clone(repository, tmp_path_factory.mktemp("paper") / "clone", "tiny")
    clone.study = STUDY
    edit(clone, "    - llmbar_manual\n", "")
    listed = clone.snakemake("--summary").splitlines()
    header = next(i for i, line in enumerate(listed) if line.startswith("output_file"))
    outputs = [line.split("\t")[0] for line in listed[header + 1 :] if "\t" in line]
    fetched = {name.removesuffix(".pin.json") for name in outputs if name.endswith(".pin.json")}
    for name in outputs:
        path = clone.root / name
        if name in fetched or "/models/step" in name or "/models/main/" in name:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(CONTENTS.get(path.parent.parent.name) or CONTENTS.get(path.name, "{}"))
    file = clone.root / STUDY
    grid = read_study(yaml.safe_load(file.read_text()), [file], clone.root / "config")
    for number, (name, reference) in enumerate(references(grid).items()):
        files = (PinnedFile("model.safetensors", 1, "sha256", str(number)),)
        Pin("a/b", "model", "main", "1", files, reference=reference).write(clone.root / name)
    for cell in cells(clone):
        (clone.root / cell).parent.mkdir(parents=True, exist_ok=True)
        (clone.root / cell).touch()
    clone.snakemake("--touch", "--quiet", "all")
    return clone


def cells(clone):
    """The files of all cells of the study."""
    file = clone.root / STUDY
    grid = read_study(yaml.safe_load(file.read_text()), [file], clone.root / "config")
    return [Results(grid.name).cell(*dataclasses.astuple(cell)) for cell in grid.cells()]


@pytest.fixture
def paper(finished_paper):
    """The finished study; what a test edits is put back."""
    kept = [Path(STUDY), Path("scripts/ptft/report/templates")]
    backup = finished_paper.root / "backup"
    for path in kept:
        copy(finished_paper.root / path, backup / path)
    yield finished_paper
    for path in kept:
        copy(backup / path, finished_paper.root / path)


def copy(source, target):
    """Copy a file or a folder with its times, over what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def edit(clone, old, new):
    """Edit the study."""
    clone.edit(STUDY, old, new)


def test_other_gpus_train_and_score_nothing_again(paper):
    edit(paper, "gpus: 1", "gpus: 1\n  gpu_models: {l4: 24, a100: 80}")
    output = paper.snakemake("-n", "--jobs", "9", "--executor", "slurm")
    assert paper.counted(output) == {"write_study": 1, **TAIL}


def test_a_new_dataset_is_fetched_prepared_and_scored(paper):
    edit(paper, "    - llmbar_gptout\n", "    - llmbar_gptout\n    - llmbar_manual\n")
    assert paper.planned_counts() == {
        "resolve_pins": 1,
        "fetch_pin": 1,
        "prepare_split": 1,
        "digest_splits": 1,
        "check_scored": 1,
        "collect_checks": 1,
        "evaluate_model": CHECKPOINTS * (BASE + TUNED),
        "write_study": 1,
        **TABLES,
    }


def test_commands_stay_short(repository, tmp_path):
    """Slices are given as files: people read commands, and Linux allows 128 kB an argument."""
    study = yaml.safe_load((repository / STUDY).read_text())
    study["checkpoints"] = [f"step{step}000" for step in range(1, 352)]
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study))
    clone = make_clone(repository, tmp_path / "clone", "tiny")
    clone.study = str(file)
    record = "state/scored/step1000/full.mnli.s0.json"
    wanted = [f"results/olmo-1b/{name}" for name in ("study.yaml", record)]
    output = clone.snakemake("-n", "-p", *wanted, "update_pins")
    commands = re.findall(r"^Shell command: (.*)$", output, re.M)
    programs = {name for text in commands for name in re.findall(r"scripts/(\w+)\.py", text)}
    assert {
        "check_data",
        "evaluate_model",
        "fetch_pin",
        "finetune_model",
        "write_study",
    } <= programs
    assert "resolve_pins" in programs
    longest = max(commands, key=len)
    assert len(longest.encode()) < 800, longest
