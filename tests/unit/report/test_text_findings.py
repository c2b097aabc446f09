"""What the front page says of generic text."""

import polars as pl
import pytest

from ptft.analysis.settings import Settings
from ptft.language.translation import translator
from ptft.report.findings import what_was_run
from ptft.report.text_findings import generic_text_findings


def test_base_and_tuned_models_in_sentences(tables):
    table = tables["generic_text"]
    base, *tuned = generic_text_findings(table, Settings(), str)
    last = table.filter(pl.col("index") == 2)
    of_base = last.filter(pl.col("method").is_null()).row(0, named=True)
    assert base.startswith("``news``: the base model's loss goes from ")
    assert f"to {of_base['bits_per_byte']:.3f} at main: −1." in base
    assert base.endswith(" (lower is better).") and "95 % interval −1." in base
    assert len(tuned) == 2
    nli = last.filter(pl.col("train_task") == "nli").row(0, named=True)
    assert f"bits per byte: +{nli['change']:.3f} (95 % interval " in tuned[0]
    assert tuned[0].endswith("; both hold the same token the likeliest at 50 % of them.")
    assert len(generic_text_findings(table, Settings(), translator("ja"))) == 3
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
