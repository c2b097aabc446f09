"""Status of a study, by what its results folder holds."""

import json
import os
import time

import pytest

import show_status
from ptft.evaluation.records import CellsGoneError, require_cells, write_cells_record
from ptft.paths import Results, cell_file
from ptft.tools.status import Progress, status_table, what_is_left


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
        if len(files) == len(cells):
            write_cells_record({}, tmp_path / results.scored_model("step4", arm))

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


def test_a_run_that_stopped_says_what_is_left(grid, half_done):
    assert what_is_left(grid, half_done).startswith(
        "cluster: 2 of 10 trainings and evaluations done, 2 failed, 6 left"
    )


def test_cells_that_are_seen_late_are_waited_for(tmp_path, monkeypatch):
    """As over NFS: a record is there before its cells are; nobody waits for what was not wanted."""
    record, cells = tmp_path / "base.json", tmp_path / "base"
    write_cells_record({"a": "key-a", "b": "key-b"}, record)
    folders = {record: cells, tmp_path / "none.json": tmp_path / "none"}
    monkeypatch.setattr("time.sleep", lambda seconds: (cells.mkdir(), (cells / "a").touch()))
    require_cells(folders, ["a", "c"], seconds=600)
    assert [path.name for path in cells.iterdir()] == ["a"]
    # What does not come was deleted: the command that mends it is told.
    with pytest.raises(CellsGoneError, match=f"^{cells}/b: gone .* `rm {record}` and call"):
        require_cells(folders, ["a", "b"], seconds=-1)


def test_status_names_the_log_of_each_failure(repository, half_done, capsys):
    study = str(repository / "tests/studies/cluster.yaml")
    assert show_status.main(["--configfile", study, "--directory", str(half_done)]) == 1
    output = capsys.readouterr().out.splitlines()
    log = half_done / "results/cluster/logs/finetune_model/step4/full.pocket_nli.s1.log"
    place = output.index(f"fine-tune step4 full.pocket_nli.s1: failed, attempt 1: {log}")
    assert output[place + 1] == "    the loss is not finite"
    assert any(line.startswith("fine-tune step16 full.pocket_nli.s0: lost") for line in output)
    assert "2 done, 1 running, 1 failed, 1 lost, 5 missing" in output
