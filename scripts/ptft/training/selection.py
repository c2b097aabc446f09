"""Choosing the learning rate by validation alone (the paper's Appendix B)."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Candidate:
    """One learning rate and where it led; a diverged one has no validation."""

    lr: float
    validation_loss: float | None
    validation_exact: float | None
    final_loss: float | None
    diverged: str | None
    chosen: bool = False


def best_candidate(candidates: Sequence[Candidate]) -> int:
    """Index of the lowest validation loss; of equals, the lower learning rate.

    Raises:
        ValueError: all have diverged.
    """
    alive = [
        (item.validation_loss, item.lr, index)
        for index, item in enumerate(candidates)
        if item.validation_loss is not None and math.isfinite(item.validation_loss)
    ]
    if not alive:
        rates = [item.lr for item in candidates]
        raise ValueError(f"every learning rate of {rates} diverged: {candidates[0].diverged}")
    return min(alive)[2]


def write_selection(candidates: Sequence[Candidate], path: Path) -> None:
    """Write the table of candidates, a row each, as CSV."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, [item.name for item in fields(Candidate)])
        writer.writeheader()
        writer.writerows(asdict(item) for item in candidates)
