"""The same rules on real data: real text, real labels, the real OLMo tokenizer, random weights."""

import json
import shutil

import polars as pl
import pytest

from .conftest import Clone, make_clone

STUDY = """\
study: real
model: small-olmo
checkpoints: [step1]
root: {root}
finetune:
  full:
    settings: {{epochs: 1, batch_size: 8, lr: 1.0e-4, max_length: 256}}
    tasks: {{mnli: {{}}}}
  lora:
    settings: {{epochs: 1, batch_size: 8, lr: 1.0e-3, max_length: 256}}
    tasks: {{socialiqa_released: {{}}}}
evaluate:
  datasets: [mnli_matched, rte, qqp, socialiqa_released]
  formats: [default]
  shots: [0, 2]
data: {{train: 48, shots: 16, test: 12}}
bootstrap: {{resamples: 200}}
"""
MODEL = """\
source:
  kind: folder
  path: checkpoints
  checkpoints: {step1: {step: 1, tokens: 1000}}
"""


@pytest.fixture
def clone(repository, shared, tmp_path) -> Clone:
    """A clone with a study over the real data and a random model of OLMo's architecture."""
    import torch
    from transformers import OlmoConfig, OlmoForCausalLM

    clone = make_clone(repository, tmp_path / "clone", "tiny")
    (clone.root / "study.yaml").write_text(STUDY.format(root=shared / "hub"))
    (clone.root / "models" / "small-olmo.yaml").write_text(MODEL)
    folder = clone.root / "checkpoints" / "step1"
    original = shared / "hub" / "models" / "allenai" / "OLMo-1B-hf"
    config = OlmoConfig.from_pretrained(
        original, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    config.num_key_value_heads = 2
    torch.manual_seed(0)
    OlmoForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(original / name, folder)
    return clone


@pytest.mark.shared
def test_real_datasets_go_through_the_same_rules(clone):
    clone.snakemake("evaluation", "tables")
    cells = pl.read_parquet(clone.root / "results/real/tables/cells.parquet").filter("main")
    assert len(cells) == 3 * 4 * 2
    domains = {
        (task, dataset): domain
        for task, dataset, domain in cells.select("train_task", "dataset", "domain").iter_rows()
    }
    assert domains["mnli", "mnli_matched"] == "in"
    assert domains["mnli", "rte"] == "out"
    assert domains["mnli", "qqp"] == "cross"
    assert domains["socialiqa_released", "socialiqa_released"] == "in"
    examples = pl.read_parquet(
        clone.root / "results/real/evaluations/step1/full.mnli.s0/qqp.default.2shot.parquet"
    )
    assert len(examples) == 12
    assert set(examples["gold"]) <= {"no", "yes"}
    assert examples["logprobs"].list.len().unique().to_list() == [2]
    audit = json.loads(
        (clone.root / "results/real/datasets/mnli_matched/test.audit.json").read_text()
    )
    assert audit["rows"] == 500
    assert audit["kept"] == 500 - audit["dropped"]["no gold label"]


@pytest.mark.shared
def test_a_split_without_labels_is_refused(clone):
    families = clone.root / "config" / "families" / "paraphrase.yaml"
    families.write_text(families.read_text().replace('test: "validation[64:]"', "test: test", 1))
    output = clone.snakemake("results/real/datasets/qqp/test.jsonl", fails=True)
    assert "no row of split 'test' of nyu-mll/glue" in output
    assert "(200 rows: 200 with no gold label)" in output
    assert not (clone.root / "results/real/datasets/qqp/test.jsonl").exists()
