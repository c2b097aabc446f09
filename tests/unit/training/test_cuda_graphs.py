"""Recordings of work: what the stand-in for CUDA graphs repeats and refuses, and how real ones
are asked for, with stand-ins for torch's."""

import contextlib
import gc

import pytest
import torch
from recorded_work import RecordedWork

from ptft.training.cuda_graphs import CudaGraphs, NotRecorded, Repeated

pytestmark = pytest.mark.slow  # torch


def test_a_recording_repeats_operations_on_the_same_memory():
    given, sums, counted = torch.ones(3), torch.zeros(3), torch.zeros(())
    scale = [2.0]

    def work():
        double = given * scale[0]
        sums.view(3, 1)[:, 0].add_(double.view(3))
        counted.add_(1)

    recorded = RecordedWork()
    replay = recorded.record(work)
    assert sums.tolist() == [0, 0, 0] and counted.item() == 0  # recorded, not done
    scale[0] = 100.0  # Python's, so it stays as it was
    given.copy_(torch.tensor([1.0, 2.0, 3.0]))
    replay()
    given.fill_(1.0)
    replay()
    assert sums.tolist() == [4, 6, 8] and counted.item() == 2
    assert (recorded.recordings, recorded.replays) == (1, 2)


def test_what_is_changed_behind_a_view_of_it_is_put_back():
    counted = torch.zeros(2)

    def work():
        counted[:, None].sum()
        counted.add_(1)

    replay = RecordedWork().record(work)
    assert counted.tolist() == [0, 0]
    replay()
    assert counted.tolist() == [1, 1]


def test_gradients_are_repeated_as_well():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    given, loss, gradient = torch.ones(2), torch.zeros(()), torch.zeros(2)

    def work():
        found = ((weight * given) ** 2).sum()
        found.backward()
        gradient.copy_(weight.grad)
        loss.copy_(found.detach())
        weight.grad = None

    replay = RecordedWork().record(work)
    given.copy_(torch.tensor([3.0, 1.0]))
    with torch.no_grad():
        weight.copy_(torch.tensor([2.0, 5.0]))
    replay()
    assert loss.item() == 36 + 25 and gradient.tolist() == [36, 10]


@pytest.mark.parametrize("mode", [contextlib.nullcontext, torch.inference_mode])
@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda given: given.sum().item(), "looks at a value"),
        (lambda given: given[given > 0], "depends on values"),
        (lambda given: given + torch.tensor([1.0]), "comes from the host"),
        (lambda given: given.sum() > 0 and 1, "looks at a value"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(work, reason, mode):
    with mode(), pytest.raises(RuntimeError, match=reason):
        RecordedWork().record(lambda: work(torch.ones(2)))


def test_what_is_repeated_is_rehearsed_then_recorded_then_replayed():
    recorder, done = RecordedWork(), torch.zeros(())
    repeated, usual = Repeated(recorder), Repeated(None)
    for times in range(1, 5):
        repeated.do(lambda: done.add_(1))
        assert done.item() == times
    assert (recorder.recordings, recorder.replays) == (1, 3)
    usual.do(lambda: done.add_(1))
    usual.do(lambda: done.sub_(3))
    assert done.item() == 2


@pytest.fixture
def device(monkeypatch):
    """In torch's place on a CPU: graphs with a pool each, or the given one; streams; an end."""

    class Stream:
        def wait_stream(self, other):
            Device.waits.append((self, other))

    class Graph:
        def pool(self):
            return self.given or (id(self),)

        def replay(self):
            pass

    class Device:
        end, usual, waits = None, Stream(), []
        current = usual

    @contextlib.contextmanager
    def on(stream):
        Device.current = stream
        try:
            yield
        finally:
            Device.current = Device.usual

    @contextlib.contextmanager
    def graph(recorded, pool, stream):
        recorded.given, recorded.stream, Device.current = pool, stream, stream
        try:
            yield
        finally:
            if Device.end:  # as torch, which then leaves its stream current
                raise RuntimeError(Device.end)
            Device.current = Device.usual

    fakes = {
        "CUDAGraph": Graph, "Stream": Stream, "graph": graph, "stream": on,
        "current_stream": lambda: Device.current,
        "set_stream": lambda stream: setattr(Device, "current", stream),
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return Device


def test_recordings_share_a_pool_as_long_as_one_of_them_is_there(device):
    graphs = CudaGraphs()
    first = graphs.record(list)
    pool = first.__self__.pool()
    assert first.__self__.given is None
    second = graphs.record(list)
    assert second.__self__.given == pool
    assert second.__self__.stream is first.__self__.stream  # or torch would share no memory
    del first
    third = graphs.record(list)
    assert third.__self__.given == pool
    del second, third
    gc.collect()
    # Torch asserts that a pool is in use.
    assert graphs.record(list).__self__.given is None


def test_a_rehearsal_is_on_the_stream_of_recordings(device):
    graphs, seen = CudaGraphs(), []
    graphs.rehearse(lambda: seen.append(device.current))
    recorded = graphs.record(lambda: seen.append(device.current))
    own = recorded.__self__.stream
    assert seen == [own, own] and own is not device.usual
    assert device.waits == [(own, device.usual), (device.usual, own)]
    with pytest.raises(ZeroDivisionError):
        graphs.rehearse(lambda: 1 / 0)
    assert device.waits[2:] == [(own, device.usual), (device.usual, own)]


@pytest.mark.parametrize("end", [None, "CUDA error: operation failed due to a previous error"])
def test_what_cannot_be_recorded_says_what_to_do(device, end):
    """Even where memory is the reason: torch may not get the recording's memory back."""

    def full():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    device.end = end
    reason = r"\(CUDA out of memory. Tried to allocate 2 GiB\): .*cuda_graphs: false"
    with pytest.raises(NotRecorded, match=reason):
        CudaGraphs().record(full)
    assert device.current is device.usual
    device.end = "CUDA error: out of memory"
    with pytest.raises(NotRecorded, match=r"\(CUDA error: out of memory\)"):
        CudaGraphs().record(list)
    assert device.current is device.usual
