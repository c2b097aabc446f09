"""What the front page says of generic text."""

import csv

import polars as pl
import pytest

from ptft.analysis.settings import Settings
from ptft.language.translation import translator
from ptft.report.findings import what_was_run
from ptft.report.text_findings import generic_text_findings


def test_base_and_tuned_models_in_sentences(tables):
    table = tables["generic_text"]
    intro, said = generic_text_findings(table, Settings(), str)
    rows = [next(csv.reader([row], skipinitialspace=True)) for row in said.splitlines()[3:]]
    assert (
        "the base model at main against step10" in intro and rows[0][4] == "change, interval, 95 %"
    )
    base, *tuned = rows[1:]
    last = table.filter(pl.col("index") == 2)
    of_base = last.filter(pl.col("method").is_null()).row(0, named=True)
    assert base[:2] == ["news", "base"] and base[3] == f"{of_base['bits_per_byte']:.3f}"
    assert base[4].startswith("−1.") and "(−1." in base[4] and base[5] == "–"
    assert len(tuned) == 2
    nli = last.filter(pl.col("train_task") == "nli").row(0, named=True)
    assert tuned[0][1] == "nli (full, one seed)" and tuned[0][5] == "50"
    assert tuned[0][4].startswith(f"+{nli['change']:.3f} (")
    assert "一致トークン" in generic_text_findings(table, Settings(), translator("ja"))[1]
    assert generic_text_findings(table.clear(), Settings(), str) == []


@pytest.mark.parametrize("language", ["en", "ja"])
def test_text_counts_by_itself_in_what_was_run(language):
    rows = {
        "model": "m", "checkpoint": "a", "step": 1, "method": "full", "train_task": "t", "seed": 0,
        "arm": "full.t.s0", "derived": None, "n": 7, "truncated": 0.0, "main": True,
    }  # fmt: skip
    cells = pl.DataFrame(
        [
            rows | {"dataset": "quiz", "kind": "multiple_choice", "format": "io", "shots": 4},
            rows | {"dataset": "news", "kind": "text", "format": "default", "shots": 0},
        ]
    )
    sentences = what_was_run(cells, 0, translator(language))
    assert "``io``" in sentences[1] and "default" not in sentences[1] and "7" in sentences[1]
    assert "``news``" in sentences[2]
