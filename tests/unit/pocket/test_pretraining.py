"""The pocket model: its tokenizer, its optimizer, and a tiny pre-training run."""

import json

import numpy as np
import pytest
import torch
from slice_files import slice_file

import pretrain_checkpoint
from ptft.pocket.corpus import write_documents
from ptft.pocket.pretraining import (
    Muon,
    attention_mask,
    lengthened,
    packed_batches,
)
from ptft.pocket.settings import PretrainSettings
from ptft.pocket.tokenizer import LABELS, train_tokenizer
from ptft.pocket.world import build_world

SETTINGS = {
    "steps": [2, 5],
    "total_steps": 5,
    "batch_size": 4,
    "sequence_length": 32,
    "hidden_size": 32,
    "layers": 2,
    "intermediate_size": 64,
}


@pytest.fixture(scope="module")
def documents():
    return write_documents(build_world(0), 3000)


@pytest.fixture(scope="module")
def tokenizer(documents):
    return train_tokenizer(documents, 1100)


def test_labels_begin_with_different_tokens(tokenizer):
    for space in ("", " "):
        first = [tokenizer(space + label)["input_ids"][0] for label in LABELS]
        assert len(set(first)) == len(LABELS)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == 1


def test_prompts_are_short_and_survive_a_round_trip(tokenizer):
    prompt = (
        "### Input_1: Tom has a big dog.\n ### Input_2: Tom likes the large dog.\n ### Inference:"
    )
    ids = tokenizer(prompt)["input_ids"]
    assert len(ids) == 27
    assert tokenizer.decode(ids) == prompt
    # What the model was never trained on still goes through, byte by byte.
    assert tokenizer.decode(tokenizer("Grüße, 世界!")["input_ids"]) == "Grüße, 世界!"


def test_packed_batches_lose_no_token_within_an_epoch():
    settings = PretrainSettings(steps=[1], total_steps=1, batch_size=2, sequence_length=8)
    documents = [np.array([10 + i] * (i + 1) + [1]) for i in range(8)]  # 36 tokens, 8 ends: 44
    batches = packed_batches(documents, settings)
    first = torch.cat([next(batches).flatten() for _ in range(2)])  # 32 of 44
    third = next(batches).flatten()
    epoch = torch.cat([first, third[:12]])
    counts = dict(zip(*np.unique(epoch.numpy(), return_counts=True), strict=True))
    assert counts == {1: 8, **{10 + i: i + 1 for i in range(8)}}


def test_attention_mask_keeps_documents_apart_where_asked():
    batch = torch.tensor([[5, 1, 6, 7], [5, 1, 6, 7]])
    mask = attention_mask(batch, apart=1, end=1)
    assert mask.shape == (2, 1, 4, 4)
    assert mask[0, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    assert mask[1, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_muon_takes_the_steps_of_torch():
    """Against torch.optim.Muon, which computes in bfloat16: equal within its precision."""
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(6, 10)) for _ in range(2)]
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    start = [parameter.detach().clone() for parameter in ours]
    optimizers = (
        Muon(ours, lr=0.1, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(6, 10)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other, before in zip(ours, theirs, start, strict=True):
        assert (mine - before).abs().max() > 0.05
        torch.testing.assert_close(mine, other, atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": []}, "steps: expected rising"),
        ({"steps": [5, 2]}, "steps: expected rising"),
        ({"steps": [6]}, "total_steps: expected at least 6, found 5"),
        ({"sequence_length": 1000}, "sequence_length: expected at least 8 and at most 512"),
        ({"hidden_size": 100}, "hidden_size: expected a multiple of 2 x heads = 8"),
    ],
)
def test_settings_out_of_range_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        PretrainSettings(**{**SETTINGS, **changed})


def pretrain(folder, corpus, steps, before=None):
    """Run the program to a step; its checkpoint."""
    step = steps[-1]
    pretrain_checkpoint.main(
        ["--corpus", str(corpus), "--output", str(folder / f"step{step}")]
        + ["--state", str(folder / f"step{step}.pt")]
        + ["--settings", slice_file(folder / "settings.json", SETTINGS | {"steps": steps})]
        + (["--before", str(before)] if before else [])
    )
    return folder / f"step{step}"


def test_pretraining_in_parts_is_that_in_one_bit_for_bit(tmp_path, documents):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(documents) + "\n", encoding="utf-8")
    whole = pretrain(tmp_path / "whole", corpus, [5])
    pretrain(tmp_path / "parts", corpus, [2])
    parts = pretrain(tmp_path / "parts", corpus, [5], before=tmp_path / "parts/step2.pt")
    one, two = (folder / "model.safetensors" for folder in (whole, parts))
    assert one.read_bytes() == two.read_bytes()
    names = ("tokenizer.json", "tokenizer_config.json", "config.json")
    assert all((whole / name).read_bytes() == (parts / name).read_bytes() for name in names)
    early = tmp_path / "parts/step2/model.safetensors"
    assert early.read_bytes() != two.read_bytes()
    facts = [json.loads((folder / "pretraining.json").read_text()) for folder in (whole, parts)]
    for found in facts:
        assert found.pop("seconds") > 0
    assert facts[0] == facts[1]
    assert facts[0]["step"] == 5
    assert facts[0]["tokens"] == 5 * 4 * 32
    assert 3 < facts[0]["loss"] < 9


def test_words_that_never_occur_are_saved_as_long_as_the_others():
    embedding = torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0], [0.0, 3.0]])  # 5, 1, 1, 3 long
    before, words = embedding.clone(), torch.tensor([0, 3])
    with lengthened(embedding, words):
        assert torch.equal(embedding[words], before[words])
        assert embedding[[1, 2]].tolist() == [[0, 4], [4, 0]]  # 4, as 5 and 3 on average
    assert torch.equal(embedding, before)
