"""Finished studies side by side."""

import json

import polars as pl


def test_two_studies_are_compared_and_nothing_is_run(finished):
    """Of the finished study and its twin: no model differs from itself."""
    twin = finished.root / "results/twin"
    (twin / "tables").mkdir(parents=True)
    for file in (finished.root / "results/tiny/tables").glob("*.parquet"):
        (twin / "tables" / file.name).write_bytes(file.read_bytes())
    (finished.root / "both.yaml").write_text("study: both\ncompare: [tiny, twin]\n")
    finished.study = "both.yaml"
    assert set(finished.planned_counts()) - {"all", "compare_studies", "make_report"} == {
        *("plot_compared_base", "plot_compared_gain", "plot_compared_kept"),
        "write_compared_page",
    }
    finished.snakemake()
    assert finished.planned() == []
    results = finished.root / "results/both"
    gains = pl.read_parquet(results / "tables/gains.parquet")
    alone = pl.read_parquet(twin / "tables/gains.parquet")
    assert gains["study"].unique().sort().to_list() == ["tiny", "twin"]
    assert len(gains) == 2 * len(alone)
    differences = pl.read_parquet(results / "tables/differences.parquet")
    assert differences["sd"].max() == 0
    assert differences["n_studies"].unique().to_list() == [2]
    page = (results / "front_page.rst").read_text(encoding="utf-8")
    assert "The models differ at 0 of " in page
    report = (results / "report.html").read_text(encoding="utf-8")
    assert json.dumps("Gain by fine-tuning of all models")[1:-1] in report


def test_a_study_that_is_not_there_is_named(finished):
    (finished.root / "both.yaml").write_text("study: both\ncompare: [tiny, olmo-1b]\n")
    finished.study = "both.yaml"
    refused = finished.snakemake("-n", fails=True)
    missing = "study 'olmo-1b' has no results/olmo-1b/tables/cells.parquet"
    assert f"both.yaml:2: compare.1: {missing}" in refused
