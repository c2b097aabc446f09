"""Batches of rows of unequal length under a budget of tokens."""

from collections.abc import Iterator, Sequence


def by_token_budget(lengths: Sequence[int], overhead: int, budget: int) -> Iterator[list[int]]:
    """Row numbers of each batch, longest rows first, so that memory fails at once or never.

    Args:
        lengths: tokens of each row.
        overhead: further cost of every row, in tokens (its copy of the shared prefix).
        budget: most tokens of a padded batch, overhead included; a batch holds one row at least.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, lengths[order[start]] + overhead))
        yield order[start : start + size]
        start += size
