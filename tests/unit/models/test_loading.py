"""Models in memory and on disk: their precision, and what computes their attention."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import save_tiny_checkpoint, tiny_tokenizer

from ptft.models.folder import ModelFolder, copy_tokenizer, model_files, untied_shapes
from ptft.models.loading import (
    Target,
    load_for_scoring,
    load_model,
    load_tuned,
    save_model,
    target_here,
)
from ptft.training.methods import LoraSettings, get_method


def test_evaluation_gets_the_same_bits_from_half_the_disk(tmp_path):
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint")
    model = load_model(checkpoint)
    for name, dtype in (("whole", torch.float32), ("half", torch.bfloat16)):
        save_model(model, tmp_path / name, dtype)
    whole, half = (tmp_path / name / "model.safetensors" for name in ("whole", "half"))
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    written = load_file(half)
    assert {weight.dtype for weight in written.values()} == {torch.bfloat16}
    assert written.keys() == load_file(whole).keys()  # tied weights are written once
    assert load_model(tmp_path / "half", dtype=None).dtype == torch.bfloat16  # as config.json says
    ids = torch.tensor([[3, 12, 20, 5]])
    one, other = (
        load_tuned(file.parent, dtype=torch.bfloat16)(ids).logits for file in (whole, half)
    )
    assert torch.equal(one, other)
    assert model.dtype == torch.float32  # the model in memory is as it was


def test_a_gpu_is_scored_on_where_there_is_one(monkeypatch):
    for found, target in ((False, Target("cpu", "float32")), (True, Target("cuda", "bfloat16"))):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=found: found)
        assert target_here() == target


def test_an_adapter_is_merged_in_float32_and_rounded_once(tmp_path):
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint")
    method = get_method("lora")
    tuned = method.prepare(load_model(checkpoint), LoraSettings(rank=4))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.02)
    method.save(tuned, tmp_path / "adapter", torch.bfloat16)
    copy_tokenizer(checkpoint, tmp_path / "adapter")
    exact = load_tuned(tmp_path / "adapter", checkpoint)
    rounded = load_tuned(tmp_path / "adapter", checkpoint, dtype=torch.bfloat16)
    assert exact.dtype == torch.float32
    for (name, one), other in zip(exact.named_parameters(), rounded.parameters(), strict=True):
        assert torch.equal(one.to(torch.bfloat16), other), name
    assert rounded.model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.parametrize("load", [load_model, load_for_scoring])
def test_no_loaded_model_attends_by_cudnn(load, tmp_path):
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint")
    torch.backends.cuda.enable_cudnn_sdp(True)
    load(checkpoint)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """A checkpoint, an adapter of it, and the merged weights with the adapter beside them."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adapted")
    save_tiny_checkpoint(folder / "checkpoint")
    torch.manual_seed(2)
    config = LoraConfig(r=4, lora_alpha=40, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(load_model(folder / "checkpoint"), config)
    model.save_pretrained(folder / "adapter")
    shutil.copytree(folder / "adapter", folder / "merged")
    model.merge_and_unload().save_pretrained(folder / "merged")
    for name in ("adapter", "merged"):
        copy_tokenizer(folder / "checkpoint", folder / name)
    return folder


def logits_of(folder, checkpoint=None):
    with torch.inference_mode():
        return load_tuned(folder, checkpoint)(torch.tensor([[3, 12, 20, 5]])).logits


def test_an_adapter_beside_merged_weights_is_not_put_on_them_again(adapted):
    expected = logits_of(adapted / "adapter", adapted / "checkpoint")
    assert (expected - logits_of(adapted / "checkpoint")).abs().max() > 0.1
    torch.testing.assert_close(logits_of(adapted / "merged", adapted / "checkpoint"), expected)
    names = [file.name for file in model_files(adapted / "merged")]
    assert "adapter_model.safetensors" not in names
    assert not ModelFolder(adapted / "merged", adapted / "checkpoint").is_adapter


def test_an_adapter_reads_the_tokens_of_its_checkpoint(adapted, tmp_path):
    """Beside an adapter, with no config.json, transformers may build another tokenizer."""
    shutil.copytree(adapted / "adapter", tmp_path / "adapter")
    file = tmp_path / "adapter/tokenizer.json"
    file.write_text(file.read_text().replace('"w1"', '"x1"'))
    found = load_for_scoring(tmp_path / "adapter", adapted / "checkpoint").tokenizer
    assert found("w1 w2")["input_ids"] == tiny_tokenizer()("w1 w2")["input_ids"]


@pytest.mark.parametrize("difference", [0.0, 1.0])
def test_a_tied_model_may_name_its_output_layer(tmp_path, difference):
    """As transformers has it: one that differs from the embedding counts."""
    folder = save_tiny_checkpoint(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    head = embedding + difference
    save_file(weights | {"lm_head.weight": head}, folder / "model.safetensors", {"format": "pt"})
    model = load_model(folder)
    assert torch.equal(model.lm_head.weight, head)
    assert torch.equal(model.model.embed_tokens.weight, embedding)
    assert load_model(folder, device="meta").lm_head.weight.shape == head.shape
    assert untied_shapes(folder).keys() == weights.keys()


def test_a_padding_token_without_a_row_pads_nothing(tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "model")
    tokenizer = load_for_scoring(folder).tokenizer
    tokenizer.add_special_tokens({"pad_token": "<more>"})
    tokenizer.add_tokens([f"<{number}>" for number in range(40)], special_tokens=True)
    tokenizer.pad_token = "<39>"
    tokenizer.save_pretrained(folder)
    loaded = load_for_scoring(folder)
    assert loaded.tokenizer.pad_token_id > 64 > loaded.pad
