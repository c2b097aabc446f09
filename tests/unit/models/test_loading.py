"""Models in memory and on disk: their precision, and what computes their attention."""

import pytest
import torch
from safetensors.torch import load_file
from tiny import save_tiny_checkpoint

from ptft.models.folder import copy_tokenizer
from ptft.models.loading import (
    Target,
    load_for_scoring,
    load_model,
    load_tuned,
    save_model,
    scoring_dtype,
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


def test_models_are_evaluated_in_bfloat16_on_cuda_alone():
    assert scoring_dtype(torch.device("cuda", 1)) == torch.bfloat16
    assert scoring_dtype(torch.device("cpu")) == torch.float32


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
