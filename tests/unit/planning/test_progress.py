"""Status of a study, by what its results folder holds."""

import json
import os
import time

import pytest
import yaml

import show_status
from ptft.evaluation.published import write_published
from ptft.paths import Results, cell_file
from ptft.planning.progress import Progress
from ptft.planning.status import status_table
from ptft.study import read_study


@pytest.fixture
def grid(repository):
    """Two checkpoints x (base and two seeds), two cells each."""
    file = repository / "tests/studies/cluster.yaml"
    return read_study(yaml.safe_load(file.read_text()), [file], repository / "config")


@pytest.fixture
def half_done(grid, tmp_path):
    """step4: base scored, s0 tuned and half scored, s1 failed; step16: base runs, s0 was killed."""
    results = Results(grid.name)
    cells = [cell_file(*score) for score in grid.scores()]

    def score(arm, files):
        folder = tmp_path / results.evaluation("step4", arm)
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).touch()

    def record(rule, checkpoint, arm, age, **end):
        folder = tmp_path / results.job_records(rule, checkpoint, arm)
        folder.mkdir(parents=True)
        begin = {"started": time.time() - age, "host": "h", "node": "n", "pid": 1, "gpus": ["0"]}
        file = folder / "1.json"
        file.write_text(json.dumps(begin | {"slurm_job": "7"} | end))
        os.utime(file, (time.time() - age, time.time() - age))

    score("base", cells)
    score("full.pocket_nli.s0", cells[:1])
    model = tmp_path / results.tuned("step4", "full.pocket_nli.s0")
    model.mkdir(parents=True)
    (model / "training.json").touch()
    failed = {"ended": time.time(), "status": 1}
    record("finetune_model", "step4", "full.pocket_nli.s1", 600, **failed)
    log = tmp_path / results.log("finetune_model", "step4", "full.pocket_nli.s1")
    log.parent.mkdir(parents=True)
    log.write_text("INFO begun\nerror: the loss is not finite\n\n")
    record("evaluate_model", "step16", "base", 1)
    record("finetune_model", "step16", "full.pocket_nli.s0", 600)
    return tmp_path


def test_status_shows_the_grid(grid, half_done):
    jobs = list(Progress(grid, half_done).jobs())
    rows = [line.split("  ") for line in status_table(grid, jobs).splitlines()]
    rows = [[part.strip() for part in row if part.strip()] for row in rows]
    assert rows == [
        ["step4", "step16"],
        ["base", "done", "RUN"],
        ["full.pocket_nli.s0", "tuned 1/2", "tune LOST"],
        ["full.pocket_nli.s1", "tune FAIL", "tune ."],
    ]


@pytest.mark.parametrize(
    ("published", "left", "status", "scored_anew"),
    [
        ("abc", "bc", 0, "a"),
        ("abc", "abc", 0, ""),
        ("bc", "bc", 0, ""),  # a new cell, or one under a new name, is not one that was deleted
        ("abc", "", 0, ""),  # it may have been Snakemake
        ("abc", "bc", 1, ""),  # what failed begins anew anyway
        ("abc", "bc", None, ""),  # an orphan may be at work
    ],
)
def test_a_cell_that_is_gone_is_scored_anew(
    grid, tmp_path, monkeypatch, published, left, status, scored_anew
):
    """However it went: another link to the same file, as after `mv`, says nothing."""
    monkeypatch.setattr(type(grid), "scores", lambda self: [(name, "f", 0) for name in "abc"])
    results = Results(grid.name)
    store = tmp_path / results.cell_store
    output = tmp_path / results.evaluation("step4", "base")
    for folder in (store, output, tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
    for name in "abc":
        (store / f"key-{name}.parquet").touch()
        os.link(store / f"key-{name}.parquet", tmp_path / "elsewhere" / name)
    for name in left:
        (output / cell_file(name, "f", 0)).touch()
    keys = {cell_file(name, "f", 0): f"key-{name}" for name in published}
    write_published(keys, tmp_path / results.published_cells("step4", "base"))
    records = tmp_path / results.job_records("evaluate_model", "step4", "base")
    records.mkdir(parents=True)
    record = {"started": 1.0, "host": "h", "node": "n", "pid": 1, "gpus": [], "slurm_job": None}
    end = {} if status is None else {"ended": 2.0, "status": status}
    (records / "1.json").write_text(json.dumps(record | end))
    Progress(grid, tmp_path).forget_deleted_cells()
    kept = {path.stem.removeprefix("key-") for path in store.iterdir()}
    assert kept == set("abc") - set(scored_anew)


def test_status_names_the_log_of_each_failure(repository, half_done, capsys):
    study = str(repository / "tests/studies/cluster.yaml")
    assert show_status.main(["--configfile", study, "--directory", str(half_done)]) == 1
    output = capsys.readouterr().out.splitlines()
    log = half_done / "results/cluster/logs/finetune_model/step4/full.pocket_nli.s1.log"
    place = output.index(f"fine-tune step4 full.pocket_nli.s1: failed, attempt 1: {log}")
    assert output[place + 1] == "    the loss is not finite"
    assert any(line.startswith("fine-tune step16 full.pocket_nli.s0: lost") for line in output)
    assert "2 done, 1 running, 1 failed, 1 lost, 5 missing" in output


def test_status_of_a_broken_study_says_where(tmp_path, capsys):
    study = tmp_path / "study.yaml"
    study.write_text("study: tiny\n\tmodel: tiny\n")
    assert show_status.main(["--configfile", str(study)]) == 2
    assert capsys.readouterr().err == (
        f"error: {study}:2: found 'model: tiny': a tab, where YAML takes spaces alone; indent it "
        "by spaces, as its neighbours are\n"
    )


def test_status_of_an_unknown_study_says_so(tmp_path, capsys):
    assert show_status.main(["--configfile", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err
