"""Recorded updates are those of the usual loop; a stand-in records, since graphs need a GPU."""

import gc
import itertools
import weakref
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from recorded_work import RecordedWork
from remedy_runs import stopped_and_resumed, trained, trainer_of
from tiny import TEMPLATE, tiny_model, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model
from ptft.training.attention import NAME, SequenceLayout
from ptft.training.cuda_graphs import NotRecorded
from ptft.training.devices import Devices
from ptft.training.examples import Example, completion_examples
from ptft.training.gradients import Gradients
from ptft.training.loop import Trainer
from ptft.training.loss import Objective
from ptft.training.methods.lora import LoraSettings
from ptft.training.recorded_updates import RecordedUpdates, padded
from ptft.training.replay import Replayed
from ptft.training.run import Run
from ptft.training.settings import TrainingSettings

CPU = torch.device("cpu")


def attention_by_boundaries(query, key, value, ends, _, longest, __, *, scale, window_size):
    """In place of the CUDA kernel: causal attention within sequences; looks at no value."""
    assert longest >= 64 and longest % 64 == 0 and window_size == (-1, 0)
    places = torch.arange(len(query))
    owners = torch.bucketize(places, ends.long(), right=True)
    seen = (owners[:, None] == owners) & (places[:, None] >= places)
    query, key, value = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scale)
    return out[0].transpose(0, 1)


@pytest.fixture
def graphs(monkeypatch):
    """Stand-ins for what only CUDA has; those that recorded something."""
    made = []

    def new():
        made.append(RecordedWork())
        return made[-1]

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", attention_by_boundaries)
    monkeypatch.setattr("ptft.training.loop.can_record", lambda *_: True)
    monkeypatch.setattr("ptft.training.loop.CudaGraphs", new)
    return made


@pytest.fixture(scope="module")
def examples():
    """44 of 5 to 24 tokens: the last batch of an epoch is smaller."""
    return completion_examples(tiny_tokenizer(), tiny_rows(44, longest=20), TEMPLATE)


def run_of(checkpoint, examples, **changes):
    """A trainer whose batches are one micro-batch."""
    usual = {"epochs": 3, "token_budget": 10_000, "lr": 1e-3, "max_grad_norm": 0.5}
    return trainer_of(checkpoint, examples=examples, **(usual | changes))


def train(checkpoint, examples, folder, **changes):
    return trained(partial(run_of, checkpoint, examples, **changes), folder)


def plain_and_recorded(checkpoint, examples, folder, **changes):
    """The same run without and with recordings."""
    return [
        train(checkpoint, examples, folder / str(way), cuda_graphs=way, **changes)
        for way in (False, True)
    ]


def same(plain, recorded, start, losses=1e-5, moves=1e-3):
    """Equal curves, and weights that are nearer to one another than to the start, by ``moves``."""
    for row, expected in zip(recorded.curve, plain.curve, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=losses)
        assert row["grad_norm"] == pytest.approx(expected["grad_norm"], rel=losses)
    found, start = (dict(model.named_parameters()) for model in (recorded.run.model, start))
    for name, weight in plain.run.model.named_parameters():
        if name.endswith("query_key_value.bias"):
            continue  # a key's has no gradient but rounding, which Adam makes a step of
        moved = (weight - start[name]).norm()
        assert moved > 0 and (found[name] - weight).norm() <= moves * moved, name


def test_what_pads_is_a_sequence_that_nothing_counts():
    """Every token is in a sequence, or a kernel would leave its place as it was in memory."""

    def example(name, ids, learned):
        mask = np.arange(len(ids)) >= len(ids) - learned
        return Example(name, np.array(ids, dtype=np.int64), mask)

    updates = RecordedUpdates(sequences=4, device=CPU, graphs=RecordedWork())
    weights = {"a": 0.25, "b": 0.5}
    seen = []

    def update(packed):
        seen.append(packed)
        return torch.zeros(2)

    updates.run(update, [example("a", range(10, 50), 3), example("b", range(60, 80), 1)], weights)
    updates.run(update, [example("b", [7, 8, 9], 2)], weights)  # its tensors are the same ones
    [packed, again] = seen
    assert again is packed and list(updates.sizes) == [(64, 64)]
    assert packed.input_ids.tolist() == [[7, 8, 9] + [0] * 61]
    assert packed.position_ids.tolist() == [[0, 1, 2, *range(61)]]
    assert packed.predictors.tolist() == [0, 1] + [3] * 62
    assert packed.targets.tolist() == [8, 9] + [0] * 62
    assert packed.weights.tolist() == [0.5, 0.5] + [0] * 62
    assert packed.owners.tolist() == [0] * 64
    assert packed.layout.boundaries.tolist() == [0, 3, 64, 64, 64, 64]
    assert packed.layout.boundaries.dtype == torch.int32 and packed.layout.longest == 64


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "adamw_clip"}, {"weighting": "token", "weight_decay": 0.1}, {"l2sp": 0.1}],
    ids=["plain", "clip inside", "tokens and decay", "L2-SP"],
)
def test_recorded_updates_are_those_of_the_loop(checkpoint, examples, tmp_path, graphs, changes):
    plain, recorded = plain_and_recorded(checkpoint, examples, tmp_path, **changes)
    same(plain, recorded, load_model(checkpoint))
    (work,) = graphs
    sizes = recorded.recorded.sizes
    assert sorted(sizes) == [(64, 64), (128, 64), (192, 64)]
    # Of each size the first update ran as it is.
    assert work.recordings == 3 and work.replays == recorded.steps - 3 == 15


@pytest.mark.slow
def test_with_masters_and_in_bfloat16(checkpoint, examples, tmp_path, graphs, monkeypatch):
    """Against the usual loop with the same kernel, in rows of other lengths."""

    def boundaries(lengths, device, bfloat16):
        ends = torch.tensor([0, *lengths]).cumsum(0).int()
        return SequenceLayout(padded(max(lengths)), ends, ())

    monkeypatch.setattr("ptft.training.packing.sequence_layout", boundaries)
    changes = {"dtype": "bfloat16", "optimizer": "adamw_masters"}
    plain, recorded = plain_and_recorded(checkpoint, examples, tmp_path, **changes)
    same(plain, recorded, load_model(checkpoint), losses=2e-3, moves=0.05)
    assert graphs[0].replays == 15


@pytest.mark.parametrize("architecture", ["llama_grouped", "gpt_neox"])
def test_other_architectures(checkpoint, examples, tmp_path, graphs, architecture):
    def model():
        made = tiny_model(architecture)
        made.set_attn_implementation(NAME)
        return made

    plain = train(checkpoint, examples, tmp_path / "a", model=model())
    recorded = train(checkpoint, examples, tmp_path / "b", model=model(), cuda_graphs=True)
    same(plain, recorded, model())
    assert graphs[0].replays == 15


def test_replayed_examples_fit_too(checkpoint, examples, tmp_path, graphs):
    """A third of all: batches of 12, of which the last of an epoch has 6."""
    replayed = Replayed(examples[:5], 1 / 3, 0)
    plain, recorded = plain_and_recorded(checkpoint, examples[5:], tmp_path, replayed=replayed)
    same(plain, recorded, load_model(checkpoint))
    assert graphs[0].replays > 0


def test_divergence_from_the_checkpoint_is_recorded_too(checkpoint, examples, tmp_path, graphs):
    plain, recorded = plain_and_recorded(checkpoint, examples, tmp_path, kl=0.5)
    same(plain, recorded, load_model(checkpoint))
    assert graphs[0].replays == 15


def test_batches_that_are_long_or_cut_are_not_recorded(checkpoint, examples, tmp_path, graphs):
    recorded = train(checkpoint, examples, tmp_path, cuda_graphs=True, token_budget=100)
    tokens = [row["tokens"] for row in recorded.curve]
    short = sum(now - before <= 100 for before, now in itertools.pairwise([0, *tokens]))
    assert 0 < short < recorded.steps
    ran = sum(size.repeated.begun for size in recorded.recorded.sizes.values())
    assert graphs[0].replays + ran == short
    assert recorded.recorded.takes(examples[:2], 10_000)
    long = examples * 10
    assert sum(len(item.ids) for item in long) > 2048
    assert not recorded.recorded.takes(long, 10_000)


@pytest.mark.parametrize("failing", ["model", "optimizer"])
def test_out_of_memory_goes_on_without_graphs(
    checkpoint, examples, tmp_path, graphs, monkeypatch, caplog, failing
):
    """In the first update of a size: before there are gradients, or with all of them there."""
    plain = train(checkpoint, examples, tmp_path / "a", optimizer="adamw_clip")
    rehearse = RecordedWork.rehearse

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    def fails(self, work):
        place = {"model": (Objective, "__call__"), "optimizer": (torch.optim.AdamW, "step")}
        with monkeypatch.context() as patch:
            patch.setattr(*place[failing], full)
            rehearse(self, work)

    monkeypatch.setattr(RecordedWork, "rehearse", fails)
    recorded = train(checkpoint, examples, tmp_path / "b", cuda_graphs=True, optimizer="adamw_clip")
    same(plain, recorded, load_model(checkpoint))
    assert recorded.recorded is None and "going on without them" in caplog.text


def test_a_long_batch_without_memory_takes_that_of_recordings(
    checkpoint, examples, tmp_path, graphs, monkeypatch
):
    """Where an example alone does not fit beside them."""
    plain = train(checkpoint, examples, tmp_path / "a")
    accumulate = Gradients.accumulate

    def full(self, batch):
        if made.recorded is not None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return accumulate(self, batch)

    made = run_of(checkpoint, examples, cuda_graphs=True)
    monkeypatch.setattr(Gradients, "accumulate", full)
    monkeypatch.setattr("ptft.training.recorded_updates.MOST_TOKENS", 100)
    recorded = trained(lambda: made, tmp_path / "b")
    same(plain, recorded, load_model(checkpoint))
    assert recorded.recorded is None and graphs[0].replays == 0


def test_what_cannot_be_recorded_ends_the_run(checkpoint, examples, tmp_path, graphs, monkeypatch):
    def fails(*_):
        raise NotRecorded("no")

    monkeypatch.setattr(RecordedWork, "record", fails)
    with pytest.raises(NotRecorded):
        train(checkpoint, examples, tmp_path, cuda_graphs=True)


def test_rare_sizes_are_not_recorded(checkpoint, examples, tmp_path, graphs, monkeypatch):
    monkeypatch.setattr("ptft.training.recorded_updates.MOST_SIZES", 1)
    plain, recorded = plain_and_recorded(checkpoint, examples, tmp_path)
    same(plain, recorded, load_model(checkpoint))
    assert len(recorded.recorded.sizes) == graphs[0].recordings == 1


def test_a_finished_trainer_gives_its_memory_back_at_once(checkpoint, examples, tmp_path, graphs):
    """Of several learning rates, one model after the other: nothing waits for the collector."""
    trainer = train(checkpoint, examples, tmp_path, cuda_graphs=True)
    held = [weakref.ref(each) for each in (trainer, trainer.run.model, trainer.optimizer)]
    gc.disable()
    try:
        del trainer
        assert [each() for each in held] == [None] * 3
    finally:
        gc.enable()


def test_with_validation_early_stopping_and_frozen_blocks(checkpoint, examples, tmp_path, graphs):
    """Validation runs between replays; the best weights come back at the end."""
    changes = {"freeze": 1, "early_stopping": 1, "validation_steps": [*range(1, 15)],
               "validation_examples": 4, "lr": 0.05}  # fmt: skip
    plain, recorded = plain_and_recorded(
        checkpoint, examples[4:], tmp_path, validation=examples[:4], **changes
    )
    assert plain.stopping.step == recorded.stopping.step < plain.steps
    for row, expected in zip(recorded.curve, plain.curve, strict=True):
        assert row.get("validation_loss") == pytest.approx(
            expected.get("validation_loss"), rel=1e-3
        )
    assert graphs[0].replays > 0


def test_adapters_are_trained_by_recordings(checkpoint, examples, tmp_path, graphs):
    plain, recorded = plain_and_recorded(
        checkpoint, examples, tmp_path, kind=LoraSettings, method="lora", rank=2
    )
    for row, expected in zip(recorded.curve, plain.curve, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert graphs[0].replays == 15
    for name, weight in plain.trained.items():
        torch.testing.assert_close(recorded.trained[name], weight, rtol=1e-3, atol=1e-5)


def test_a_resumed_run_records_anew(checkpoint, examples, tmp_path, graphs):
    make = partial(run_of, checkpoint, examples, cuda_graphs=True)
    undisturbed = trained(make, tmp_path / "a")
    resumed = stopped_and_resumed(make, tmp_path / "b", after=10)
    same(undisturbed, resumed, load_model(checkpoint))
    assert graphs[2].replays > 0


def test_what_is_for_one_device_is_refused_on_two(checkpoint, examples):
    for changes in ({"cuda_graphs": True}, {"optimizer": "adamw_clip"}):
        settings = TrainingSettings(**changes)
        model = load_model(checkpoint, attention=NAME)
        with pytest.raises(ValueError, match=f"{next(iter(changes))} is for one device"):
            Trainer(Run(model, examples, [], settings, 1e-3, 0, Devices(CPU, 0, 2)))
    with pytest.raises(ValueError, match="cuda_graphs: found True, expected false"):
        TrainingSettings(cuda_graphs=True, compile=True)
