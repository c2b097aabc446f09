"""A job that fails, as Snakemake tells it: what a user reads is the cause first."""

import json
import re
from pathlib import Path

import polars as pl
from small_study import FAMILY, OWN

from .conftest import make_clone


def test_a_failed_job_names_its_cause_first(repository, tmp_path):
    """A label that nobody knows, in a file of a user's own."""
    clone = make_clone(repository, tmp_path / "clone", "tiny")
    clone.edit("study.yaml", "pocket_facts]", "pocket_facts, own]")
    (clone.root / OWN).parent.mkdir()
    (clone.root / OWN).write_text(FAMILY)
    rows = [{"text": f"text {number}", "label": number % 2} for number in range(16)]
    rows[12]["label"] = 9
    (clone.root / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    output = clone.snakemake("results/tiny/datasets/own/test.jsonl", fails=True)
    lines = output.splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("Error"))
    told = lines[place:]
    log = "results/tiny/logs/prepare_split/own/test.log"
    assert told[0] == (
        "Error: rows.jsonl, row 13: column 'label': found 9, expected 0 or 1; add it to "
        "label.values in the family's file"
    )
    assert re.fullmatch(r"    rule: prepare_split, job \d+", told[1])
    assert re.fullmatch(r"    command: python scripts/prepare_split\.py .+", told[2])
    assert told[3] == f"    log: {log}"
    # Snakemake's own lines follow, that it stops and where its log is; and how the run ended.
    assert len(told) <= 8 and output.count("found 9") == 1
    assert '{"' not in output and "Traceback" not in output and "CalledProcessError" not in output
    assert (clone.root / log).read_text() == f"{told[0].replace('Error', 'error')}\n"


def test_a_run_tells_causes_and_what_came_out(finished):
    """A job that fails, then the same call with what it lacked."""
    costs = finished.root / "results/tiny/tables/costs.csv"
    page = finished.root / "results/tiny/report.html"
    page.unlink()
    before = costs.read_text()
    costs.write_text("stage,hours\nscoring,many\n")

    def run(fails):
        # Snakemake names its profile, the Snakefile has two notes.
        return finished.snakemake(fails=fails).splitlines()[3:]

    told = run(fails=True)
    assert told[0].startswith("0/1 jobs · 0:"), told
    assert told[1].startswith("Error: ") and "polars" in told[1], told
    assert told[2].startswith("    rule: make_report, job ")
    [stopped] = [line for line in told if line.startswith("stopped: 0/1 jobs in 0:")]
    assert stopped.endswith("; 1 failed")
    assert told[-2].startswith("tiny: 10 of 10 trainings and evaluations done, 0 failed, 0 left; ")
    assert re.fullmatch(r"log: /.+\.snakemake\.log", told[-1])
    costs.write_text(before)
    told = run(fails=False)
    assert len(told) <= 10, told
    assert re.fullmatch(r"0/1 jobs · \d:\d\d, about \d:\d\d left", told[0])
    done = next(place for place, line in enumerate(told) if line.startswith("done: 1/1 jobs in "))
    findings = pl.read_csv(finished.root / "results/tiny/tables/findings.csv")
    said = findings.filter(question="taught")["sentence"][0]
    assert told[done + 1] == said and "Pre-training alone teaches" in said
    assert told[done + 6].startswith("report: results/tiny/report.html (`")
    assert "make_report" in Path(told[-1].removeprefix("log: ")).read_text()
