"""Order, micro-batches, packing, schedule: values computed by hand."""

import numpy as np
import pytest
import torch

from ptft.training.examples import (
    Example,
    batch_indices,
    device_micro_batches,
    micro_batches,
    split_off,
    truncate,
    updates_per_epoch,
)
from ptft.training.optimizer import learning_rate


def example(name, length, targets=1):
    ids = np.arange(length, dtype=np.int64) + 10 * length
    return Example(name, ids, np.arange(length) >= length - targets)


def test_every_epoch_sees_every_example_once_in_another_order():
    epochs = [
        np.concatenate([batch_indices(10, 4, 3, step) for step in range(start, start + 3)])
        for start in (0, 3)
    ]
    assert updates_per_epoch(10, 4) == 3
    assert [len(batch_indices(10, 4, 3, step)) for step in range(6)] == [4, 4, 2, 4, 4, 2]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert list(epochs[0]) != list(epochs[1])
    assert list(batch_indices(10, 4, 3, 1)) != list(batch_indices(10, 4, 4, 1))


def test_validation_is_cut_by_the_seed():
    train, held_out = split_off(10, 3, seed=1)
    assert len(held_out) == 3 and sorted([*train, *held_out]) == list(range(10))
    assert list(held_out) != list(split_off(10, 3, seed=2)[1])
    with pytest.raises(ValueError, match="validation_examples=10 leaves none of 10"):
        split_off(10, 10, seed=1)


def test_micro_batches_hold_the_token_budget_longest_first():
    batch = [example(name, length) for name, length in zip("abcde", [3, 9, 4, 2, 12], strict=True)]
    parts = [[item.example_id for item in part] for part in micro_batches(batch, 10)]
    assert parts == [["e"], ["b"], ["c", "a", "d"]]  # 12 alone, 9, 4 + 3 + 2
    assert len(micro_batches(batch, 30)) == 1


def test_devices_share_a_batch_by_tokens_with_equal_numbers_of_micro_batches():
    batch = [example(name, length) for name, length in zip("abcd", [8, 3, 3, 3], strict=True)]
    first = device_micro_batches(batch, 4, 0, 2)
    second = device_micro_batches(batch, 4, 1, 2)
    assert [([item.example_id for item in part], counted) for part, counted in first] == [
        (["a"], True),
        (["b"], False),
        (["b"], False),
    ]
    assert [item.example_id for part, counted in second for item in part] == ["b", "c", "d"]
    assert all(counted for _, counted in second)


def test_truncation_drops_and_refuses():
    short = [example(str(number), 5) for number in range(199)]
    kept, dropped = truncate([*short, example("long", 9)], 6)
    assert dropped == ["long"] and len(kept) == 199
    assert len(truncate([example("half", 9, 5)], 6)[0][0].ids) == 6
    with pytest.raises(ValueError, match="2 of 4 training examples .* max_length=6 .first: long"):
        truncate([*short[:2], example("long", 9), example("more", 8)], 6)


@pytest.mark.parametrize(("steps", "rates"), [(1, [1.0]), (2, [0.0, 1.0]), (3, [0.0, 1.0, 0.5])])
def test_warm_up_never_takes_all_updates(steps, rates):
    assert [learning_rate(step, steps, 1.0, 0.03) for step in range(steps)] == rates


@pytest.mark.parametrize(("steps", "ratio"), [(20, 0.03), (100, 0.1), (7, 0.0)])
def test_schedule_equals_that_of_transformers(steps, ratio):
    import math

    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-6)
    reference = get_linear_schedule_with_warmup(optimizer, math.ceil(steps * ratio), steps)
    for step in range(steps):
        expected = optimizer.param_groups[0]["lr"]
        assert learning_rate(step, steps, 2e-6, ratio) == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        reference.step()
