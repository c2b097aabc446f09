"""Snapshots: models on the way of a training, which its job leaves, or a copy of it trains to.

A point is an update, or a share of all updates between 0 and 1. Standard library only: the study
checks its points here.
"""

from collections.abc import Iterable, Mapping, Sequence

SNAPSHOT = "step"
"""what stands for the derivation of a snapshot's arm, which a method asks for, not `derive`"""


def snapshot_name(arm: str, point: float) -> str:
    """Name of a snapshot's arm, and of its model's folder: `full.mnli.s0@step50`."""
    return f"{arm}@{SNAPSHOT}{point:.12g}"


def update_of(point: float, updates: int) -> int:
    """The update after which a point is: the point itself, or its share of all."""
    return int(point) if point >= 1 else max(1, round(point * updates))


def updates_of(points: Iterable[float], updates: int) -> dict[float, int]:
    """Point -> the update after which it is, of a training of so many.

    Raises:
        ValueError: a point is not before the last update.
    """
    found = {point: update_of(point, updates) for point in points}
    for point, update in found.items():
        if update >= updates:
            raise ValueError(
                f"found {point:g}, expected a point before the last of {updates} updates; the "
                "model after that is the arm itself"
            )
    return found


def written(points: Mapping[str, Sequence[float]]) -> list[str]:
    """Points by method as a program is given them: `full=50,100`."""
    return [
        f"{method}={','.join(f'{point:.12g}' for point in own)}"
        for method, own in points.items()
        if own
    ]


def read(words: Iterable[str]) -> dict[str, list[float]]:
    """Points by method, as :func:`written`."""
    pairs = (word.partition("=") for word in words)
    return {method: list(map(float, own.split(","))) for method, _, own in pairs}
