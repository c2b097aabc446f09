"""Text of a checkpoint for its replay: what is drawn, kept and learned; what it is like."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from slice_files import slice_file
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, tiny_tokenizer, write_rows

import finetune_model
import write_self_text
from ptft.files import read_all
from ptft.models.loading import load_model
from ptft.training import self_text
from ptft.training.remedies import replay_examples
from ptft.versions import TRAINING_VERSION

SLICE = {
    "training_version": TRAINING_VERSION, "samples": 11, "tokens": 9, "temperature": 0.7, "seed": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """One whose predictions are far from even, so that it sometimes ends a text."""
    return save_tiny_checkpoint(tmp_path_factory.mktemp("self") / "model", initializer_range=0.4)


@pytest.fixture
def write(checkpoint, tmp_path):
    """The program, and the rows that it wrote; or its status, where there are none."""

    def call(*more, name="out", **changes):
        given = slice_file(tmp_path / "slice.json", SLICE | changes)
        paths = {"checkpoint": checkpoint, "settings": given, "state": tmp_path / "state",
                 "output": tmp_path / f"{name}.jsonl"}  # fmt: skip
        status = write_self_text.main([f"--{key}={path}" for key, path in paths.items()] + [*more])
        return status or read_all(paths["output"])

    return call


def by_hand(model, context, seed, number, most, temperature):
    """One text by transformers alone: inverse cumulative probabilities of its own stream."""
    stream, ids = np.random.default_rng([seed, number]), list(context)
    while len(ids) < len(context) + most:
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1].double() / temperature
        token = int((logits.softmax(-1).cumsum(-1) <= stream.random()).sum())
        ids.append(token)
        if token == 0:  # EOS
            break
    return ids


def test_texts_are_those_of_a_plain_loop(checkpoint, write, monkeypatch):
    monkeypatch.setattr(self_text, "CHUNK", 4)
    rows, model = write(), load_model(checkpoint).eval()
    assert [row["example_id"] for row in rows] == [f"self-{number}" for number in range(11)]
    for number, row in enumerate(rows):
        assert row["ids"] == by_hand(model, [0], 5, number, 8, 0.7)
        assert row["ended"] == ("end" if row["ids"][-1] == 0 else "length")
        assert (row["given"], row["seed"]) == (1, 5)
        assert row["sha256"] == hashlib.sha256(row["text"].encode()).hexdigest()
    assert {row["ended"] for row in rows} == {"end", "length"}
    others = write(name="others", seed=6)
    assert [row["ids"] for row in others] != [row["ids"] for row in rows]


def test_texts_begin_with_the_first_words_of_others(checkpoint, write, tmp_path):
    texts = [" ".join(f"w{(at + word) % 40}" for word in range(12)) for at in range(3)]
    prompts = write_rows([{"example_id": t, "text": t} for t in texts], tmp_path / "p.jsonl")
    rows = write(f"--prompts={prompts}", tokens=12, samples=4)
    model = load_model(checkpoint).eval()
    for number, row in enumerate(rows):
        begin = [11 + (number % 3 + word) % 40 for word in range(8)]
        assert row["given"] == 8
        assert row["ids"] == by_hand(model, begin, 5, number, 4, 0.7)
    assert write(f"--prompts={prompts}", tokens=8, name="none") == 2


def test_a_killed_job_goes_on_behind_its_last_whole_chunk(write, tmp_path, monkeypatch):
    monkeypatch.setattr(self_text, "CHUNK", 4)
    whole, state = write(), tmp_path / "state"
    sample, calls = self_text.Sampling, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return sample(*arguments)

    monkeypatch.setattr(self_text, "Sampling", killed)
    with pytest.raises(KeyboardInterrupt):
        write(name="second")
    [draft] = state.glob("*.jsonl")
    assert len(read_all(draft)) == 8
    with draft.open("a") as lines:
        lines.write('{"example_id": "self-8", "te')  # torn
    calls.clear()
    assert write(name="second") == whole
    assert [first for *_, first in calls] == [8]
    assert not list(state.glob("*.jsonl"))


def test_a_model_without_a_first_token_is_refused(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="no BOS or EOS token"):
        self_text.beginnings(tokenizer, None, 3)
    prompts = write_rows([{"example_id": "a", "text": "w0 w1"}], tmp_path / "p.jsonl")
    assert self_text.beginnings(tokenizer, prompts, 2) == [[11, 12], [11, 12]]


def test_what_was_given_is_not_learned():
    rows = [{"example_id": "self-0", "ids": [0, 11, 12, 13], "given": 2, "text": ""}]
    [tokens] = replay_examples(tiny_tokenizer(), rows, None, 9)
    [predictions] = replay_examples(tiny_tokenizer(), rows, None, 3, imitated=True)
    assert tokens.loss_mask.tolist() == [False, False, True, True] and not tokens.imitated
    assert predictions.loss_mask.tolist() == [False, False, True] and predictions.imitated


def test_quality_by_hand():
    """Passages of four: of 1 1 1 1 1 1 two of three are repeated, of 1 2 3 4 5 none."""
    rows = [
        {"ids": [0, *ids], "given": 1, "ended": ended, "text": name, "sha256": name}
        for ids, ended, name in [
            ([1] * 6, "length", "a"), ([1, 2, 3, 4, 5], "end", "b"),
            ([1, 2, 3, 4, 5], "end", "b"), ([], "end", "c"),
        ]
    ]  # fmt: skip
    found = self_text.quality(rows)
    assert json.loads(found.pop("shown")) == ["a", "b", "b", "c"]
    assert found == {
        "samples": 4, "tokens_mean": 4.0, "ended": 0.75,
        "repetition": pytest.approx(2 / 3 / 4), "duplicates": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("learn", ["tokens", "distributions"])
def test_a_training_replays_its_checkpoints_text(checkpoint, write, tmp_path, learn):
    """0.2 of all: 40 x 0.2 / 0.8 = 10 texts; a share that leaves none is refused before."""
    write(samples=6)
    replay = {"dataset": "self", "share": 0.2, "learn": learn, "samples": 6, "tokens": 9}
    settings = {"epochs": 2, "batch_size": 8, "lr": 1e-3, "replay": replay}
    request = {"method": "full", "seed": 0, "template": TEMPLATE, "settings": settings}
    write_rows(tiny_rows(20, longest=6), tmp_path / "train.jsonl")

    def finetune(output, settings=settings):
        given = slice_file(tmp_path / "request.json", {**request, "settings": settings})
        paths = {"checkpoint": checkpoint, "state": tmp_path / "tuning", "output": output}
        arguments = [f"--{key}={path}" for key, path in paths.items()]
        files = [str(tmp_path / "train.jsonl"), str(tmp_path / "out.jsonl")]
        return finetune_model.main([*arguments, "--settings", given, "--train", *files])

    assert finetune(tmp_path / learn) == 0
    summary = json.loads((tmp_path / learn / "training.json").read_text())
    assert (summary["replayed_examples"], summary["replay_set"]) == (10, 6)
    assert math.isfinite(summary["final_loss"])
    few = {**settings, "replay": {**replay, "share": 0.01}}
    assert finetune(tmp_path / "none", few) == 2
