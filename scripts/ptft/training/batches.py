"""The order of the examples, and how an update's batch is cut into micro-batches.

Both follow from (seed, epoch) alone, so that a resumed run needs no state for them.
"""

import functools
from collections.abc import Sequence

import numpy as np

from ptft.training.examples import Example


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Permutation of range(count) for one epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


@functools.lru_cache(maxsize=2)
def shuffled(count: int, seed: int, epoch: int, stream: int) -> np.ndarray:
    """The same, of a random stream (from 1) beside the one of :func:`epoch_order`."""
    return np.random.default_rng([seed, epoch, stream]).permutation(count)


def examples_before(count: int, batch_size: int, step: int) -> int:
    """Examples of the updates before ``step`` (from 0), by :func:`batch_indices`."""
    epoch, within = divmod(step, updates_per_epoch(count, batch_size))
    return epoch * count + within * batch_size


def batch_indices(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Indices of the examples of update ``step`` (from 0); an epoch's last batch may be smaller."""
    epoch, within = divmod(step, updates_per_epoch(count, batch_size))
    return epoch_order(count, seed, epoch)[within * batch_size : (within + 1) * batch_size]


def updates_per_epoch(count: int, batch_size: int) -> int:
    """Updates an epoch takes, the smaller last batch included."""
    return -(-count // batch_size)


def split_off(count: int, held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and indices held out for validation, each in rising order.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if held_out >= count:
        raise ValueError(f"validation_examples={held_out} leaves none of {count} to train on")
    # A stream of its own (the -1 of epochs), so that the cut does not depend on the epochs' order.
    order = np.random.default_rng([seed, 2**32 - 1]).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def micro_batches(batch: Sequence[Example], token_budget: int) -> list[list[Example]]:
    """Cut a batch into micro-batches of at most ``token_budget`` tokens, longest examples first.

    Neighbours in length share a micro-batch, which keeps its attention rectangular. An example
    longer than the budget is alone.
    """
    parts: list[list[Example]] = []
    used = 0
    for item in sorted(batch, key=lambda item: len(item.ids), reverse=True):
        if not parts or used + len(item.ids) > token_budget:
            parts.append([])
            used = 0
        parts[-1].append(item)
        used += len(item.ids)
    return parts


def device_micro_batches(
    batch: Sequence[Example], token_budget: int, rank: int, world: int
) -> list[tuple[list[Example], bool]]:
    """The micro-batches of a batch that one of ``world`` devices works on.

    Examples go, longest first, to the device with the fewest tokens so far (ties: lower rank).
    Every device gets the same number of micro-batches, because sharded models exchange weights in
    each; a device that has fewer repeats one, marked False: not to be counted.
    """
    shares: list[list[Example]] = [[] for _ in range(world)]
    load = [0] * world
    for item in sorted(batch, key=lambda item: len(item.ids), reverse=True):
        owner = load.index(min(load))
        load[owner] += len(item.ids)
        shares[owner].append(item)
    parts = [micro_batches(share, token_budget) for share in shares]
    mine = [(part, True) for part in parts[rank]]
    fillers = max(len(each) for each in parts) - len(mine)
    return mine + [([min(batch, key=lambda item: len(item.ids))], False)] * fillers
