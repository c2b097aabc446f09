"""A run ends with one line, which a command of the site gets."""

RESOLVED = "results/tiny/study.yaml"


def test_how_a_run_ended_is_told_and_a_failing_command_is_no_failure(finished):
    site = finished.root / "slurm/site.yaml"
    site.parent.mkdir()
    site.write_text("notify: tee told\n")
    told = finished.root / "told"
    again = (RESOLVED, "--forcerun", "write_study")
    assert "Nothing to be done" in finished.snakemake("-n", RESOLVED)
    assert not told.exists()
    said = finished.snakemake(*again)
    assert told.read_text() == (
        "tiny ended: 10 of 10 trainings and evaluations done, 0 failed, 0 left; 0.0 hours; "
        "results/tiny/report.html\n"
    )
    assert told.read_text() in said
    site.write_text("notify: /no/such/command\n")
    assert "notify: '/no/such/command' could not tell" in finished.snakemake(*again)
    site.write_text("notify: tee told\n")
    (finished.root / "scripts/write_study.py").write_text("raise SystemExit('broken')\n")
    assert "tiny FAILED: 10 of 10" in finished.snakemake(*again, fails=True)
    assert told.read_text().startswith("tiny FAILED: 10 of 10")
