"""Generic text: its loss, how far a tuned model is from the base, and the ratio of two sums."""

import math

import numpy as np
import pytest
import torch
from tiny_models import sentences, tiny_olmo, tiny_tokenizer

from ptft.evaluation.requests import CellRequest, cells_of_plan
from ptft.evaluation.scoring import evaluate_cell
from ptft.evaluation.store import to_frame
from ptft.evaluation.text import linearised
from ptft.inference import text_losses
from ptft.inference.budget import Budget
from ptft.inference.engine import Engine
from ptft.inference.model import wrap_model
from ptft.prompts.windows import rolling_windows


@pytest.fixture(scope="module")
def engine():
    tokenizer = tiny_tokenizer()
    return Engine(wrap_model(tiny_olmo(len(tokenizer)), tokenizer))


@pytest.fixture(scope="module")
def rows():
    """Documents of very different lengths, one with letters of several bytes."""
    texts = sentences(9, 60, seed=3) + [" naïve café \n"]
    return [{"example_id": f"t-{at}", "text": text} for at, text in enumerate(texts)]


@pytest.fixture(scope="module")
def base(engine):
    """A model whose weights are a little way off."""
    torch.manual_seed(5)
    other = tiny_olmo(len(engine.loaded.tokenizer))
    with torch.no_grad():
        for weight in other.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return other


def text_cell(window, stride):
    return CellRequest("t", "default", 0, "text", "", window=window, stride=stride)


def own_loss(model, window):
    """Transformers' own loss of a window's scored tokens, summed."""
    ids = [*window.read, window.scored[-1]]
    labels = [-100] * (len(ids) - len(window.scored)) + list(window.scored)
    with torch.inference_mode():
        loss = model(torch.tensor([ids]), labels=torch.tensor([labels])).loss
    return loss.item() * len(window.scored)


@pytest.mark.parametrize(("window", "stride"), [(256, 256), (16, 16), (16, 5)])
def test_the_loss_is_transformers_own(engine, rows, window, stride):
    frame = to_frame(cell := text_cell(window, stride), evaluate_cell(engine, cell, rows, []))
    tokenizer, total, tokens = engine.loaded.tokenizer, 0.0, 0
    for row, nats in zip(rows, frame["nats"], strict=True):
        ids = tokenizer(row["text"])["input_ids"]
        windows = list(rolling_windows(ids, tokenizer.eos_token_id, window, stride))
        expected = sum(own_loss(engine.loaded.model, found) for found in windows)
        assert nats == pytest.approx(expected, rel=1e-5)
        total, tokens = total + expected, tokens + len(ids)
    size = sum(len(row["text"].encode()) for row in rows)
    assert frame["bytes"].sum() == size > sum(len(row["text"]) for row in rows)
    assert frame["tokens"].sum() == tokens == frame["prompt_tokens"].sum()
    assert frame["score"].mean() == pytest.approx(total / math.log(2) / size, rel=1e-5)
    assert frame["nats_per_token"].mean() == pytest.approx(total / tokens, rel=1e-5)
    assert frame["cross_entropy_to_base"].null_count() == len(rows)
    assert frame["prediction"].null_count() == frame["gold"].null_count() == len(rows)


def test_context_from_an_overlap_changes_the_loss(engine, rows):
    values = {
        stride: evaluate_cell(engine, text_cell(16, stride), rows, []).extra["nats"]
        for stride in (16, 5)
    }
    assert values[16] != values[5]


def test_distance_to_the_base_model_by_hand(engine, rows, base):
    cell = text_cell(16, 8)
    results = evaluate_cell(engine, cell, rows[:3], [], base=base)
    frame = to_frame(cell, results)
    cross, same, tokens = 0.0, 0, 0
    for row in rows[:3]:
        ids = engine.loaded.tokenizer(row["text"])["input_ids"]
        for window in rolling_windows(ids, 0, 16, 8):
            read = torch.tensor([window.read])
            with torch.inference_mode():
                ours, theirs = (
                    model(read).logits[0, -len(window.scored) :].double()
                    for model in (engine.loaded.model, base)
                )
            cross -= (theirs.softmax(-1) * ours.log_softmax(-1)).sum().item()
            same += (ours.argmax(-1) == theirs.argmax(-1)).sum().item()
            tokens += len(window.scored)
    assert frame["cross_entropy_to_base"].mean() == pytest.approx(cross / tokens, rel=1e-5)
    assert frame["same_top_token"].mean() == pytest.approx(same / tokens, rel=1e-9)
    assert 0 < same < tokens
    # The distance of a model to itself is its entropy, and every top token is the same.
    itself = evaluate_cell(Engine(wrap_model(base, engine.loaded.tokenizer)), cell, rows[:3], [],
                           base=base)  # fmt: skip
    assert sum(itself.extra["same_top"]) == tokens
    assert sum(itself.extra["base_nats"]) < cross


def test_neither_batches_nor_slices_of_the_softmax_change_it(engine, rows, base, monkeypatch):
    one = evaluate_cell(engine, text_cell(32, 8), rows, [], base=base)
    told = []
    alone = Engine(engine.loaded, Budget(tokens=1, memory=0))
    monkeypatch.setattr(text_losses, "SOFTMAX_ROWS", 3)
    other = evaluate_cell(alone, text_cell(32, 8), rows, [], told.append, base)
    for name in ("nats", "base_nats", "same_top"):
        np.testing.assert_allclose(other.extra[name], one.extra[name], rtol=1e-5)
    assert sum(told) == len(rows)


def test_bad_windows_vocabularies_and_weights_are_refused(engine, rows):
    with pytest.raises(ValueError, match="window of 300 tokens is longer .* context of 256"):
        evaluate_cell(engine, text_cell(300, 300), rows, [])
    with pytest.raises(ValueError, match="base model has 700 tokens, the tuned one "):
        evaluate_cell(engine, text_cell(8, 8), rows, [], base=tiny_olmo(700))
    broken = wrap_model(tiny_olmo(len(engine.loaded.tokenizer)), engine.loaded.tokenizer)
    torch.nn.init.constant_(broken.model.get_input_embeddings().weight, float("nan"))
    with pytest.raises(FloatingPointError):
        evaluate_cell(Engine(broken), text_cell(8, 8), rows, [])
    scoring = {"kind": "text", "formats": {"default": ""}, "shots": [0]}
    with pytest.raises(ValueError, match="text needs a window and a stride"):
        cells_of_plan({"scoring_version": 1, "shots_seed": 0, "datasets": {"t": scoring}})


def test_bfloat16_notes_how_far_batching_moves_a_document(rows):
    tokenizer = tiny_tokenizer()
    loaded = wrap_model(tiny_olmo(len(tokenizer)).bfloat16(), tokenizer)
    results = evaluate_cell(Engine(loaded), text_cell(64, 64), rows, [])
    assert results.notes["dtype"] == "bfloat16" and results.notes["compared_examples"] == "8"
    assert float(results.notes["largest_nats_deviation"]) < 0.05 * max(results.extra["nats"])


def test_a_ratio_as_a_mean():
    # 3 bits in 2 bytes and 5 in 8: R = 0.8; the rest over the mean of 5 bytes.
    values = linearised([3.0, 5.0], [2, 8])
    assert values == pytest.approx([0.8 + (3 - 1.6) / 5, 0.8 + (5 - 6.4) / 5])
    assert np.mean(values) == pytest.approx(8 / 10, abs=1e-12)
    assert linearised([None, None], [1, 2]) == [None, None]
