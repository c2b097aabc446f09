"""Exports hold the cells' numbers and are read by the tools they are made for."""

import polars as pl
from score_tables import cells

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table
from ptft.report.export import latex_table, model_card, write_exports

ABOUT = {"repository": "allenai/OLMo-1B-hf", "license": "apache-2.0", "settings": {"lr": 2e-6}}


def test_latex_is_escaped_and_rounded():
    table = pl.DataFrame({"data_set": ["a_b", "c&d"], "value": [0.12345, None]})
    text = latex_table(table, "A caption.", "tab:x")
    assert r"data\_set & value \\" in text
    assert r"a\_b & 0.123 \\" in text
    assert r"c\&d & -- \\" in text
    assert r"\toprule" in text and r"\label{tab:x}" in text


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


def test_every_table_and_model_is_exported(tmp_path):
    scores = Scores.build(cells())
    tables = {name: make_table(name, scores, Settings()) for name in TABLES}
    write_exports(cells(), tables, ABOUT | {"settings": {"full.nli.s0": {"lr": 2e-6}}}, tmp_path)
    assert {p.stem for p in (tmp_path / "latex").iterdir()} == set(TABLES)
    assert len(list(tmp_path.rglob("README.md"))) == 4
