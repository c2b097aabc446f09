"""The page on which models are compared: its numbers are the tables', its texts stay texts."""

import json
import re

import numpy as np
import polars as pl
import pytest
from page_data import page_data
from remedy_scores import Model, remedy_scores
from synthetic_scores import collect, study_slice, write_evaluations

from ptft import language
from ptft.analysis.model_pairs import model_pairs
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.report.comparison import comparison_page


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    study = study_slice(formats=("default", "io"))
    write_evaluations(study, folder, n=40)
    collected = collect(study, folder)
    return Scores.build(collected.cells, collected.replicates)


def embedded(page):
    return json.loads(page_data(page))


def test_scores_are_those_of_the_tables(scores):
    found = model_pairs(scores, Settings()).tuned
    key = ["checkpoint", "train_task", "dataset"]
    main = found.filter(pl.col("format") == "default").sort(key)
    table = make_table("gains", scores, Settings()).rename({"gain": "difference"}).sort(key)
    columns = [*key, "base", "tuned", "difference", "ci_low", "ci_high"]
    assert main.select(columns).equals(table.select(columns))
    turned = [*key, "n", "gained", "lost"]
    assert main.select(turned).equals(
        scores.main_view("default", None).pairs().sort(key).select(turned)
    )
    other = Settings(format="io")
    table = make_table("gains", scores, other).rename({"gain": "difference"}).sort(key)
    assert (
        found.filter(pl.col("format") == "io")
        .sort(key)
        .select(columns)
        .equals(table.select(columns))
    )


def test_pairs_differ_in_the_checkpoint_or_the_method():
    methods = [Model((0.5, 0.6), (0.5, 0.5), method=name) for name in (None, "full", "lora")]
    scores = remedy_scores(methods, n=100, rng=np.random.default_rng(0))
    found = model_pairs(scores, Settings())
    model = {row["model"]: row for row in found.tuned.iter_rows(named=True)}
    pairs = [(model[a], model[b]) for a, b in found.pairs.select("first", "second").iter_rows()]
    # Two datasets; of four models each, both checkpoints of two methods and two methods twice.
    assert len(pairs) == 2 * (2 + 2)
    for a, b in pairs:
        assert a["dataset"] == b["dataset"]
        assert (a["checkpoint"] == b["checkpoint"]) != (a["method"] == b["method"])
    for (a, b), row in zip(pairs, found.pairs.iter_rows(named=True), strict=True):
        assert row["difference"] == pytest.approx(a["tuned"] - b["tuned"])
        rows = [
            scores.cells.filter(
                *(pl.col(name) == one[name] for name in ("checkpoint", "method", "dataset"))
            )["row"][0]
            for one in (a, b)
        ]
        low, high = np.percentile(scores.draws[rows[0]] - scores.draws[rows[1]], [2.5, 97.5])
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=1e-6)


def test_no_tuned_model_no_matrix():
    base = remedy_scores([Model((0.5,), (0.5,), method=None)], 20, np.random.default_rng(0))
    page = comparison_page(model_pairs(base, Settings()), [], 0.95)
    assert "no tuned model was evaluated" in page and "<script" not in page


def test_the_page_holds_numbers_once_and_names_as_texts(scores):
    found = model_pairs(scores, Settings())
    hostile = "</script><!--<script>\u2028"
    language.use("ja", {"datasets": {"quiz": hostile}})
    page = comparison_page(found, ["nli_out"], 0.9)
    assert page.count("</script>") == page.count("<script") == 2 and "<!--" not in page
    assert "\u2028" not in page and not re.search(r"(src|href)=\"(http|//)", page)
    data = embedded(page)
    names = {dataset["name"]: dataset for dataset in data["datasets"]}
    assert names["nli_out"]["hidden"] and not names[hostile]["hidden"]
    # The tasks' families first, as in the heat map.
    assert list(names) == ["nli_in", "nli_out", "story_in", hostile]
    assert "90 %" in data["words"]["change"]
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["scores"]]
    first = found.tuned.row(0, named=True)
    assert len(rows) == len(found.tuned) == 3 * 2 * 4 * 2
    assert rows[0]["difference"] == round(first["difference"], 4)
    assert data["limits"]["default"] == pytest.approx(
        found.tuned.filter(pl.col("format") == "default", pl.col("dataset") != "nli_out")[
            "difference"
        ].abs().max()
    )  # fmt: skip
    assert len(data["pairs"]) == len(found.pairs) > 0
    one = found.pairs.row(0, named=True)
    assert data["pairs"][0][2:] == [round(one["ci_low"], 4), round(one["ci_high"], 4)]
