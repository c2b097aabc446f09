"""Model cards hold the cells' numbers and are read by the Hub's own class."""

import polars as pl
from score_tables import cells

from ptft.report.export import write_cards

ABOUT = {"repository": "allenai/OLMo-1B-hf", "settings": {"full.nli.s0": {"lr": 2e-6}}}


def test_every_tuned_model_has_a_card_that_is_valid_on_the_hub(tmp_path):
    from huggingface_hub import ModelCard

    write_cards(cells(), ABOUT, tmp_path)
    assert len(list(tmp_path.rglob("README.md"))) == 4
    card = ModelCard.load(tmp_path / "step100/full.nli.s0/README.md")
    assert card.data.base_model == "allenai/OLMo-1B-hf"
    scores = {(r.dataset_name, r.dataset_config): r.metric_value for r in card.data.eval_results}
    assert scores["nli_in", "default, shots: 4"] == 0.8
    assert len(scores) == 5
    assert "`nli` by method `full` with seed 0" in card.text and "- lr: 2e-06" in card.text
    write_cards(cells().with_columns(truncated=pl.lit(1.0)), ABOUT, tmp_path)
    cut = (tmp_path / "step100/full.nli.s0/README.md").read_text()
    assert "| nli_in | default | fewer than 4 (all prompts were cut) | m | 0.800 |" in cut
