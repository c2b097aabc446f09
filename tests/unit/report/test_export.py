"""Exports hold the cells' numbers and are read by the tools they are made for."""

import polars as pl
import pytest
from score_tables import cells

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table
from ptft.report.export import harness_results, latex_table, model_card, write_exports

ABOUT = {"repository": "allenai/OLMo-1B-hf", "license": "apache-2.0", "settings": {"lr": 2e-6}}


def test_latex_is_escaped_and_rounded():
    table = pl.DataFrame({"data_set": ["a_b", "c&d"], "value": [0.12345, None]})
    text = latex_table(table, "A caption.", "tab:x")
    assert r"data\_set & value \\" in text
    assert r"a\_b & 0.123 \\" in text
    assert r"c\&d & -- \\" in text
    assert r"\toprule" in text and r"\label{tab:x}" in text


def test_harness_layout_is_read_by_the_harness():
    results = harness_results(cells(), "step100", "full.nli.s0")
    entry = results["results"]["nli_in.io.4shot"]
    assert entry["m,none"] == 0.50 and entry["m_stderr,none"] == 0.01
    assert results["n-samples"]["nli_in.io.4shot"] == {"original": 100, "effective": 100}
    make = pytest.importorskip("lm_eval.utils").make_table
    line = next(x for x in make(results).splitlines() if "nli_in.io.4shot" in x)
    assert "0.50|" in line and "0.01|" in line and "|     4|" in line


def test_card_is_valid_on_the_hub():
    from huggingface_hub import ModelCard

    card = ModelCard(model_card(cells(), "step100", "full.nli.s0", ABOUT))
    assert card.data.base_model == "allenai/OLMo-1B-hf"
    scores = {(r.dataset_name, r.dataset_config): r.metric_value for r in card.data.eval_results}
    assert scores["nli_in", "default, shots: 4"] == 0.8
    assert len(scores) == 5
    assert "fine-tuned on `nli`" in card.text and "- lr: 2e-06" in card.text
    cut = model_card(cells().with_columns(truncated=pl.lit(1.0)), "step100", "full.nli.s0", ABOUT)
    assert "| nli_in | default | fewer than 4 (all prompts were cut) | m | 0.800 |" in cut


def test_a_loss_is_lower_the_better():
    loss = (
        cells()
        .filter(pl.col("dataset") == "quiz")
        .with_columns(kind=pl.lit("text"), metric=pl.lit("bits_per_byte"))
    )
    results = harness_results(loss, "step100", "full.nli.s0")
    assert results["higher_is_better"] == {"quiz.default.4shot": {"bits_per_byte": False}}
    assert results["results"]["quiz.default.4shot"]["bits_per_byte,none"] == 0.6
    assert "bits_per_byte" in model_card(loss, "step100", "full.nli.s0", ABOUT)


def test_unknown_model():
    with pytest.raises(ValueError, match="no score of checkpoint 'step7'"):
        harness_results(cells(), "step7", "base")
    with pytest.raises(ValueError, match="no score of checkpoint 'step7'"):
        model_card(cells(), "step7", "base", ABOUT)


def test_every_table_and_model_is_exported(tmp_path):
    scores = Scores.build(cells())
    tables = {name: make_table(name, scores, Settings()) for name in TABLES}
    write_exports(cells(), tables, ABOUT | {"settings": {"full.nli.s0": {"lr": 2e-6}}}, tmp_path)
    assert {p.stem for p in (tmp_path / "latex").iterdir()} == set(TABLES)
    assert len(list(tmp_path.rglob("results.json"))) == 6
    assert len(list(tmp_path.rglob("README.md"))) == 4
