"""The page of the scores so far, while a study runs."""

import os
import shutil
import signal
import subprocess

from ptft.runtime.locks import exclusive

from .test_contracts import RECORDS


def test_a_page_is_there_after_the_first_scores(finished):
    """One model is scored again; another waits to be trained until the page was read."""
    results = finished.root / "results/tiny"
    training = "step16/full.pocket_summary.s0"
    scored = [RECORDS[0], RECORDS[-1]]
    for record in scored:
        (finished.root / record).unlink()
    shutil.rmtree(results / "models" / training)
    with exclusive(results / "state/finetune" / training):
        run = subprocess.Popen(
            finished.command(*scored, "--logger-ptft-previews", "100"),
            cwd=finished.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        told = next((line for line in run.stdout if line.startswith("preview: ")), "")
        page = (results / "preview/report.html").read_text(encoding="utf-8") if told else ""
        os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert told == "preview: 90 of 108 cells: results/tiny/preview/report.html\n"
    assert "In progress: 90 / 108 scores" in page
