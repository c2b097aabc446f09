"""Plans at the paper's size and beyond: how long they take, how long commands are."""

import re

import yaml

from .conftest import make_clone

STUDY = "config/olmo-1b.yaml"
BASE, TUNED, CHECKPOINTS = 1, 5, 8


def test_a_plan_grows_no_faster_than_its_cells(repository, tmp_path, load_benchmark):
    """The paper's grid, and one of 7.5 times the cells; `make bench` goes on to 42 times."""
    planning = load_benchmark("planning")
    study = tmp_path / "large.yaml"
    study.write_text(yaml.safe_dump(planning.large_study(planning.LARGE[0])))
    paper = planning.dry_run(repository / STUDY, tmp_path)
    large = planning.dry_run(study, tmp_path)
    assert paper.models == CHECKPOINTS * (BASE + TUNED) and paper.cells == 2400
    assert large.models == 40 * (1 + 4 * 2) and large.cells == 18_000
    assert large.cpu_seconds / paper.cpu_seconds < large.cells / paper.cells
    assert paper.peak_gib < 0.5 and large.peak_gib < 0.5


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
