"""One list of a model folder's files: what is fetched, copied, hashed."""

import json

import pytest
from safetensors.torch import load_file, save_file
from tiny import save_tiny_checkpoint, tiny_config, tiny_tokenizer

from ptft.models.folder import (
    CONFIGURATION,
    TOKENIZER,
    ModelFolder,
    check_model,
    check_tokenizer,
    model_files,
)


def hash_of(folder, checkpoint=None):
    return ModelFolder(folder, checkpoint or folder).hash


def test_any_file_that_decides_a_score_changes_the_hash_and_no_other_does(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in (*CONFIGURATION, *TOKENIZER, "model.safetensors"):
        (folder / name).write_text(name)
    before = hash_of(folder)
    (folder / "training.json").write_text("{}")
    (folder / "training_args.bin").write_text("x")
    (folder / "notes").mkdir()
    assert hash_of(folder) == before
    found = {before}
    for file in model_files(folder):
        file.write_text(f"other {file.name}")
        found.add(hash_of(folder))
    assert len(found) == 1 + 2 + 8 + 1  # the first, configuration, tokenizer, weights


def test_pickled_weights_count_where_there_are_no_others(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_text("first")
    before = hash_of(tmp_path)
    (tmp_path / "pytorch_model.bin").write_text("second")
    assert hash_of(tmp_path) != before
    (tmp_path / "model.safetensors").write_text("weights")
    assert [file.name for file in model_files(tmp_path)] == ["config.json", "model.safetensors"]


def test_an_adapter_is_hashed_with_what_it_is_put_on(tmp_path):
    checkpoint, adapter = tmp_path / "checkpoint", tmp_path / "adapter"
    for folder, names in (
        (checkpoint, ["config.json", "model.safetensors"]),
        (adapter, ["adapter_config.json", "adapter_model.safetensors", "vocab.json"]),
    ):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
    before = hash_of(adapter, checkpoint)
    (checkpoint / "model.safetensors").write_text("other")
    other = hash_of(adapter, checkpoint)
    (adapter / "adapter_model.safetensors").write_text("other")
    assert len({before, other, hash_of(adapter, checkpoint)}) == 3


@pytest.mark.parametrize("names", [[], ["config.json"], ["model.safetensors"], ["x.safetensors"]])
def test_a_folder_without_a_model_is_refused_with_what_it_holds(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match=f"is not a model folder.*found {', '.join(names)}"):
        hash_of(tmp_path)
    with pytest.raises(ValueError, match="nowhere is not a model folder.*found nothing"):
        hash_of(tmp_path / "nowhere")


@pytest.mark.parametrize("shard", ["1GB", "20KB"])
def test_all_that_transformers_writes_belongs_to_it(tmp_path, shard):
    from transformers import OlmoForCausalLM

    OlmoForCausalLM(tiny_config()).save_pretrained(tmp_path, max_shard_size=shard)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert model_files(tmp_path) == sorted(tmp_path.iterdir())
    assert (len(model_files(tmp_path)) > 6) == (shard == "20KB")


def rewrite(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_folder_as_a_whole_is_checked_without_its_weights(tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "model", tie_word_embeddings=False)
    check_model(folder)
    check_tokenizer(folder)
    weights = load_file(folder / "model.safetensors")
    headless = {name: weight for name, weight in weights.items() if "lm_head" not in name}
    save_file(headless, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="model has weights without an output layer .lm_head"):
        check_model(folder)
    rewrite(folder / "config.json", tie_word_embeddings=True)
    check_model(folder)
    rewrite(folder / "config.json", architectures=["OlmoModel"])
    with pytest.raises(ValueError, match="names OlmoModel, which has no output layer"):
        check_model(folder)
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "olmo"}')
    (folder / "adapter_model.safetensors").write_text("")
    with pytest.raises(ValueError, match="model holds an adapter .of olmo. and no whole weights"):
        check_model(folder)


def test_a_tokenizer_of_more_tokens_than_the_embedding_has_rows_is_refused(tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "model")
    known = json.loads((folder / "tokenizer.json").read_text())
    last = max(known["model"]["vocab"].values())
    rewrite(folder / "config.json", vocab_size=last + 1)
    check_tokenizer(folder)
    special = {"id": last + 1, "content": "<more>", "special": True}
    rewrite(folder / "tokenizer.json", added_tokens=[*known["added_tokens"], special])
    check_tokenizer(folder)  # it stands for no text
    rewrite(folder / "config.json", vocab_size=last)
    with pytest.raises(ValueError, match=f"up to {last}, but .* embedding has {last} rows"):
        check_tokenizer(folder)
