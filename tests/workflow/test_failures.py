"""A job that fails, as Snakemake tells it: what a user reads is the cause first."""

import json
import re

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
    time, *told = lines[place - 1 :]
    assert re.fullmatch(r"\[.+ \d+:\d+:\d+ \d+\]", time)
    log = "results/tiny/logs/prepare_split/own/test.log"
    assert told[0] == (
        "Error: rows.jsonl, row 13: column 'label': found 9, expected 0 or 1; add it to "
        "label.values in the family's file"
    )
    assert re.fullmatch(r"    rule: prepare_split, job \d+", told[1])
    assert re.fullmatch(r"    command: python scripts/prepare_split\.py .+", told[2])
    assert told[3] == f"    log: {log}"
    # Snakemake's own lines follow: that it stops, and where its log is.
    assert len(told) <= 10 and output.count("found 9") == 1
    assert '{"' not in output and "Traceback" not in output and "CalledProcessError" not in output
    assert (clone.root / log).read_text() == f"{told[0].replace('Error', 'error')}\n"
