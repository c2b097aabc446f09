"""Recorded updates are those of the usual loop; a stand-in records, since graphs need a GPU."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from recorded_work import RecordedWork
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_model, tiny_rows, tiny_tokenizer

from ptft.models.loading import load_model
from ptft.training.attention import NAME, SequenceLayout
from ptft.training.devices import Devices
from ptft.training.examples import completion_examples
from ptft.training.loop import Trainer
from ptft.training.recorded_updates import padded
from ptft.training.reference import Reference
from ptft.training.replay import Replayed
from ptft.training.run import Run
from ptft.training.settings import TrainingSettings
from ptft.training.state import StateFolder, StopRequest

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
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def examples():
    """44 of 5 to 24 tokens: the last batch of an epoch is smaller."""
    return completion_examples(tiny_tokenizer(), tiny_rows(44, longest=20), TEMPLATE)


def train(checkpoint, examples, folder, replayed=None, model=None, base=None, **changes):
    settings = TrainingSettings(epochs=3, batch_size=8, lr=1e-3, max_grad_norm=0.5, **changes)
    model = model or load_model(checkpoint, attention=NAME)
    trainer = Trainer(Run(model, examples, [], settings, 1e-3, 0, Devices(CPU), replayed, base))
    with StopRequest() as stop:
        trainer.train(StateFolder(folder, "same"), stop)
    return trainer


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


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "adamw_clip"}, {"weighting": "token", "weight_decay": 0.1}, {"l2sp": 0.1}],
    ids=["plain", "clip inside", "tokens and decay", "L2-SP"],
)
def test_recorded_updates_are_those_of_the_loop(checkpoint, examples, tmp_path, graphs, changes):
    plain = train(checkpoint, examples, tmp_path / "a", **changes)
    assert not graphs
    recorded = train(checkpoint, examples, tmp_path / "b", cuda_graphs=True, **changes)
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
    plain = train(checkpoint, examples, tmp_path / "a", **changes)
    recorded = train(checkpoint, examples, tmp_path / "b", cuda_graphs=True, **changes)
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
    plain = train(checkpoint, examples[5:], tmp_path / "a", replayed)
    recorded = train(checkpoint, examples[5:], tmp_path / "b", replayed, cuda_graphs=True)
    same(plain, recorded, load_model(checkpoint))
    assert graphs[0].replays > 0


def test_divergence_from_the_checkpoint_is_recorded_too(checkpoint, examples, tmp_path, graphs):
    base = Reference(load_model(checkpoint, attention=NAME).requires_grad_(False).eval())
    plain = train(checkpoint, examples, tmp_path / "a", base=base, kl=0.5)
    recorded = train(checkpoint, examples, tmp_path / "b", base=base, kl=0.5, cuda_graphs=True)
    same(plain, recorded, load_model(checkpoint))
    assert graphs[0].replays == 15


def test_batches_that_are_long_or_cut_are_not_recorded(checkpoint, examples, tmp_path, graphs):
    recorded = train(checkpoint, examples, tmp_path, cuda_graphs=True, token_budget=100)
    tokens = [row["tokens"] for row in recorded.curve]
    short = sum(now - before <= 100 for before, now in itertools.pairwise([0, *tokens]))
    assert 0 < short < recorded.steps
    ran = sum(size.seen for size in recorded.recorded.sizes.values())
    assert graphs[0].replays + ran == short
    assert recorded.recorded.takes(examples[:2], 10_000)
    long = examples * 10
    assert sum(len(item.ids) for item in long) > 2048
    assert not recorded.recorded.takes(long, 10_000)


def test_out_of_memory_goes_on_without_graphs(
    checkpoint, examples, tmp_path, graphs, monkeypatch, caplog
):
    plain = train(checkpoint, examples, tmp_path / "a")

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(RecordedWork, "record", full)
    recorded = train(checkpoint, examples, tmp_path / "b", cuda_graphs=True)
    same(plain, recorded, load_model(checkpoint))
    assert recorded.recorded is None and "going on without them" in caplog.text


def test_what_is_for_one_device_is_refused_on_two(checkpoint, examples):
    for changes in ({"cuda_graphs": True}, {"optimizer": "adamw_clip"}):
        settings = TrainingSettings(**changes)
        model = load_model(checkpoint, attention=NAME)
        with pytest.raises(ValueError, match=f"{next(iter(changes))} is for one device"):
            Trainer(Run(model, examples, [], settings, 1e-3, 0, Devices(CPU, 0, 2)))
    with pytest.raises(ValueError, match="cuda_graphs: found True, expected false"):
        TrainingSettings(cuda_graphs=True, compile=True)
