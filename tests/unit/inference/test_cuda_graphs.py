"""What the stand-in for CUDA graphs repeats and refuses; real ones need a GPU."""

import pytest
import torch
from recorded_work import RecordedWork

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


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda given: given.sum().item(), "looks at a value"),
        (lambda given: given[given > 0], "depends on values"),
        (lambda given: given + torch.tensor([1.0]), "comes from the host"),
        (lambda given: given.sum() > 0 and 1, "looks at a value"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(work, reason):
    with pytest.raises(RuntimeError, match=reason):
        RecordedWork().record(lambda: work(torch.ones(2)))
