"""The line that a run ends with, and the command that it is given to."""

import sys

import pytest
import yaml

from ptft.evaluation.published import write_published
from ptft.paths import Results, cell_file
from ptft.study import read_study
from ptft.tools.status import run_summary, tell


@pytest.fixture
def grid(repository):
    """Two checkpoints x (base and two seeds): 4 trainings and 6 evaluations."""
    file = repository / "tests/studies/cluster.yaml"
    return read_study(yaml.safe_load(file.read_text()), [file], repository / "config")


def test_one_line_says_what_became_of_a_study(grid, tmp_path):
    results = Results(grid.name)
    folder = tmp_path / results.evaluation("step4", "base")
    folder.mkdir(parents=True)
    for score in grid.scores():
        (folder / cell_file(*score)).touch()
    write_published({}, tmp_path / results.published_cells("step4", "base"))
    failed = tmp_path / results.job_records("finetune_model", "step4", "full.pocket_nli.s0")
    failed.mkdir(parents=True)
    (failed / "1.json").write_text(
        '{"started": 1, "host": "h", "node": "n", "pid": 1, "gpus": [], "slurm_job": null,'
        ' "ended": 2, "status": 1}'
    )
    assert run_summary(grid, False, 5400, tmp_path) == (
        "cluster FAILED: 1 of 10 trainings and evaluations done, 1 failed, 8 left; 1.5 hours; "
        "no report yet"
    )
    report = tmp_path / results.report
    report.touch()
    assert run_summary(grid, True, 0, tmp_path).endswith(f"8 left; 0.0 hours; {report}")


def test_a_command_gets_the_line_and_its_failure_is_only_said(tmp_path):
    told = tmp_path / "told"
    script = tmp_path / "script.py"
    script.write_text(f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read())")
    assert tell("all is well; $(touch x)", f"{sys.executable} {script}") is None
    assert told.read_text() == "all is well; $(touch x)\n"
    assert tell("x", None) is None
    assert "No such file" in tell("x", "/no/such/command -s")
    assert tell("x", f"{sys.executable} -c 'raise SystemExit(\"full\")'").endswith("status 1: full")
    assert "No closing quotation" in tell("x", "mail 'me")
