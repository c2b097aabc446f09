"""Bootstrap means in a column of a table: packed as bytes, and read when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

COLUMN = "replicates"
NUMBER = np.dtype("<f4")


def packed(means: np.ndarray) -> bytes:
    """Means (R,) as float32: Parquet reads bytes ten times as fast as lists."""
    return means.astype(NUMBER).tobytes()


def unpacked(column: pl.Series) -> np.ndarray:
    """Means (N, R) of a column of bytes, or of arrays as released and older tables have them."""
    if column.dtype != pl.Binary:
        return column.to_numpy()
    return np.frombuffer(b"".join(column), NUMBER).reshape(len(column), -1)


@dataclass(frozen=True)
class Replicates:
    """Bootstrap means (C, R) of cells; only what is asked for is read.

    Attributes:
        table: with the column ``replicates``, on disk or in memory.
        places: (C,) row of the table of each cell.
    """

    table: pl.LazyFrame
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(C, R)"""
        return len(self), self[np.arange(1)].shape[1] if len(self) else 0

    def __getitem__(self, cells: np.ndarray) -> np.ndarray:
        """Means (k, R) of cells, quickest where their rows lie close together."""
        places = self.places[cells]
        first, last = int(places.min()), int(places.max())
        column = self.table.slice(first, last - first + 1).select(COLUMN).collect()[COLUMN]
        return unpacked(column.gather(places - first))
