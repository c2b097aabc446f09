"""Generic text: its loss, how far a tuned model is from the base, and the ratio of two sums."""

import json
import math

import numpy as np
import polars as pl
import pytest
import torch
from slice_files import slice_file
from tiny_models import sentences, tiny_olmo, tiny_tokenizer

from ptft.evaluation import text as text_module
from ptft.evaluation.cells import CellRequest
from ptft.evaluation.job import EvaluationJob, evaluate
from ptft.evaluation.records import recorded_cells
from ptft.evaluation.results import linearised, to_frame
from ptft.evaluation.scoring import evaluate_cell
from ptft.files import write_examples
from ptft.inference.batches import Budget
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model
from ptft.prompts.tokens import rolling_windows


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
    for name in ("base_nats", "same_top", "cross_entropy_to_base", "same_top_token"):
        assert frame[name].dtype == pl.Float64 and frame[name].null_count() == len(rows)
    assert frame["prediction"].null_count() == frame["gold"].null_count() == len(rows)


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
    monkeypatch.setattr(text_module, "SOFTMAX_ROWS", 3)
    other = evaluate_cell(alone, text_cell(32, 8), rows, [], told.append, base)
    for name in ("nats", "base_nats", "same_top"):
        np.testing.assert_allclose(other.extra[name], one.extra[name], rtol=1e-5)
    assert sum(told) == len(rows)


def test_bad_windows_and_weights_are_refused(engine, rows):
    with pytest.raises(ValueError, match="window of 300 tokens is longer .* context of 256"):
        evaluate_cell(engine, text_cell(300, 300), rows, [])
    broken = wrap_model(tiny_olmo(len(engine.loaded.tokenizer)), engine.loaded.tokenizer)
    torch.nn.init.constant_(broken.model.get_input_embeddings().weight, float("nan"))
    with pytest.raises(FloatingPointError):
        evaluate_cell(Engine(broken), text_cell(8, 8), rows, [])


def test_the_loss_is_of_float32_logits_in_bfloat16_too(rows):
    tokenizer = tiny_tokenizer()
    model = tiny_olmo(len(tokenizer)).bfloat16()
    ids = [tokenizer.eos_token_id, *tokenizer(rows[0]["text"])["input_ids"]]
    with torch.inference_mode():
        hidden = model.model(torch.tensor([ids[:-1]])).last_hidden_state[0].double()
        logprobs = (hidden @ model.lm_head.weight.double().T).log_softmax(-1)
    expected = -logprobs[range(len(hidden)), ids[1:]].sum().item()
    engine = Engine(wrap_model(model, tokenizer))
    results = evaluate_cell(engine, text_cell(256, 256), rows[:1], [])
    assert results.extra["nats"] == pytest.approx([expected], rel=1e-6)


@pytest.fixture
def folders(tmp_path, base, rows):
    """A checkpoint, what was made of it, and a plan with a dataset of text and one of choices."""
    tokenizer = tiny_tokenizer()
    for name, model in {"base": base, "tuned": tiny_olmo(len(tokenizer))}.items():
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    choice = {"fields": {"text": "a"}, "choices": ["b", "c"], "gold": 0}
    for name, lines in {"t": rows, "c": [{"example_id": "c-0", **choice}]}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        write_examples(lines, tmp_path / "data" / name / "test.jsonl")
    text = {"kind": "text", "formats": {"default": ""}, "shots": [0], "window": 32, "stride": 32}
    asked = {"kind": "multiple_choice", "formats": {"default": "{text}"}, "shots": [0]}
    plan = {"scoring_version": 1, "shots_seed": 0, "datasets": {"t": text, "c": asked}}
    slice_file(tmp_path / "plan.json", plan)
    return tmp_path


def job_of(folder, model):
    return EvaluationJob(
        model=folder / model,
        checkpoint=folder / "base",
        data=folder / "data",
        plan=folder / "plan.json",
        store=folder / "store",
        record=folder / f"{model}.json",
        output=folder / "output" / model,
    )


def test_the_job_compares_a_tuned_model_with_its_checkpoint(folders):
    keys, frames = {}, {}
    for model in ("base", "tuned"):
        evaluate(job_of(folders, model))
        keys[model] = recorded_cells(folders / f"{model}.json")
        frames[model] = pl.read_parquet(folders / "output" / model / "t.default.0shot.parquet")
    assert frames["base"]["same_top_token"].null_count() == len(frames["base"])
    assert 0 < frames["tuned"]["same_top_token"].mean() < 1
    # Another checkpoint below the same tuned model: the text alone is scored again.
    config = folders / "base/generation_config.json"
    config.write_text(config.read_text().replace("{", '{"max_length": 99,', 1))
    evaluate(job_of(folders, "tuned"))
    again = recorded_cells(folders / "tuned.json")
    text, choices = "t.default.0shot.parquet", "c.default.0shot.parquet"
    assert again[text] != keys["tuned"][text] and again[choices] == keys["tuned"][choices]


def test_a_job_scores_anew_in_the_precision_that_the_study_names(folders):
    keys, scores, plan = [], [], json.loads((folders / "plan.json").read_text())
    for dtype in ({}, {"dtype": "bfloat16"}):
        (folders / "plan.json").write_text(json.dumps(plan | dtype))
        evaluate(job_of(folders, "tuned"))
        keys.append(recorded_cells(folders / "tuned.json"))
        scores.append(pl.read_parquet(folders / "output/tuned/c.default.0shot.parquet"))
    assert scores[0]["logprobs"].to_list() != scores[1]["logprobs"].to_list()
    assert keys[0].keys() == keys[1].keys() and not set(keys[0].values()) & set(keys[1].values())


def test_a_ratio_as_a_mean():
    # 3 bits in 2 bytes and 5 in 8: R = 0.8; the rest over the mean of 5 bytes.
    values = linearised([3.0, 5.0], [2, 8])
    assert values == pytest.approx([0.8 + (3 - 1.6) / 5, 0.8 + (5 - 6.4) / 5])
    assert np.mean(values) == pytest.approx(8 / 10, abs=1e-12)
    assert linearised([None, None], [1, 2]) == [None, None]
