"""Draws of many scores, made when a table asks for them, so that few are in memory at a time.

Shapes: ``C`` scores, ``R`` draws, ``N`` functions of scores.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from ptft.analysis.cell_scores import Replicates
from ptft.analysis.statistics import (
    confidence_draws,
    over_seeds,
    parts_of_variance,
    unseen_agreement,
)

GROUPS_AT_ONCE = 512
"""whose cells are read at once"""


@dataclass(frozen=True)
class SeedMeans:
    """Means of C groups of cells.

    Attributes:
        drawn: bootstrap means of the cells.
        groups: columns run, rows (of ``drawn``), places (of their seeds) and values (scores).
        single: (C,) variance of groups of one cell; NaN where it is not known.
        seeds: how many training seeds the study has.
        seed: of the draws that stand for other seeds.
    """

    drawn: Replicates | np.ndarray
    groups: pl.DataFrame
    single: np.ndarray
    seeds: int
    seed: int

    @property
    def resamples(self) -> int:
        """R."""
        return self.drawn.shape[1]

    def of(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means (k, R) float32 and variances (k,) of some groups."""
        resamples = self.resamples
        means, variance = np.empty((len(groups), resamples), np.float32), self.single[groups].copy()
        chosen = self.groups[groups]
        drawn = self.drawn[chosen["rows"].explode().to_numpy()]
        normals = lru_cache(maxsize=8)(self._normals)
        at = 0
        for row, (run, places, values) in enumerate(
            chosen.select("run", "places", "values").iter_rows()
        ):
            own = drawn[at : at + len(values)]
            at += len(values)
            if len(values) == 1:
                means[row] = own[0]
            else:
                means[row], variance[row] = over_seeds(
                    np.array(values), own, normals(run, resamples)[places]
                )
        return means, variance

    def variance(self) -> np.ndarray:
        """Variance (C,) of every group."""
        found = self.single.copy()
        sizes = self.groups["values"].list.len().to_numpy().astype(int)
        for groups in _group_portions(np.flatnonzero(sizes > 1)):
            chosen = self.groups[groups]
            drawn = self.drawn[chosen["rows"].explode().to_numpy()]
            starts = np.concatenate([[0], np.cumsum(sizes[groups])])
            for size in np.unique(sizes[groups]):
                same = sizes[groups] == size
                rows = starts[:-1][same][:, None] + np.arange(size)
                values = np.array(chosen["values"].filter(pl.Series(same)).to_list())
                seeds, examples, _ = parts_of_variance(values, drawn[rows])
                found[groups[same]] = seeds + examples
        return found

    def _normals(self, run: int, resamples: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, run))
        return rng.standard_normal((self.seeds, resamples))


def _group_portions(groups: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(groups), GROUPS_AT_ONCE):
        yield groups[start : start + GROUPS_AT_ONCE]


CHUNK = 256
"""scores that share a block of noise"""
ROWS_AT_ONCE = 256
"""of draws that a reduction holds"""


@dataclass(frozen=True)
class Draws:
    """Draws (C, R) of scores, as ``confidence_draws`` makes them of all.

    A row is made the first time that it is asked for, with those of ``wanted`` beside it, and
    kept in a file without a name, which is gone with the process.
    """

    made: Made
    places: np.ndarray
    """(C,) which of the scores each row is: one may be there twice"""
    wanted: np.ndarray
    """whether a score is made when one of its block is"""

    @classmethod
    def of(cls, made: Made) -> Draws:
        """Of all scores."""
        count = len(made.mean)
        return cls(made, np.arange(count), np.ones(count, dtype=bool))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, int]:
        """(C, R)"""
        return len(self), self.made.means.resamples

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[np.arange(len(self))].astype(dtype or np.float32, copy=False)

    def __getitem__(self, rows: ArrayLike | slice) -> np.ndarray:
        places = self.places[rows if isinstance(rows, slice) else np.asarray(rows, dtype=int)]
        found = self.made.take(np.atleast_1d(places), self.wanted)
        return found.reshape(*np.shape(places), found.shape[1])

    def among(self, rows: np.ndarray) -> Draws:
        """The same for an analysis that asks for ``rows`` only; they keep their numbers."""
        wanted = np.zeros(len(self.wanted), dtype=bool)
        wanted[self.places[rows]] = True
        return replace(self, wanted=wanted)

    def again(self, rows: np.ndarray) -> Draws:
        """With ``rows`` once more at the end."""
        return replace(self, places=np.concatenate([self.places, self.places[rows]]))


@dataclass(frozen=True)
class Made:
    """Sources of draws, and the draws that were made.

    Attributes:
        means: bootstrap means over seeds, with their variance.
        mean, n, n_seeds: (C,) scores, their examples and training seeds.
        seed: of the noise. bounded: as in ``confidence_draws``.
    """

    means: SeedMeans
    mean: np.ndarray
    n: np.ndarray
    n_seeds: np.ndarray
    seed: int
    bounded: bool
    _at: np.ndarray = field(init=False)
    """(C,) row of the file; -1 of what is not made"""
    _states: list[Any] = field(default_factory=list, init=False)
    _file: Any = field(default_factory=tempfile.TemporaryFile, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_at", np.full(len(self.mean), -1))

    def take(self, places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Draws (k, R) of scores; what is missing is made, with ``wanted`` of the same blocks."""
        missing = places[self._at[places] < 0]
        for block in np.unique(missing // CHUNK).tolist():
            own = np.arange(block * CHUNK, min((block + 1) * CHUNK, len(self.mean)))
            asked = np.isin(own, missing) | (wanted[own] & (self._at[own] < 0))
            self._make(block, own[asked])
        found = np.empty((len(places), self.means.resamples), dtype=np.float32)
        for row, at in zip(found, self._at[places].tolist(), strict=True):
            os.preadv(self._file.fileno(), [row.data], at * row.nbytes)
        return found

    def _make(self, block: int, places: np.ndarray) -> None:
        """Make some scores of a block; what was read of them lies close together."""
        replicates, variance = self.means.of(places)
        mean, n = self.mean[places], self.n[places]
        # A spread of none says nothing where it is not known of how many examples.
        variance = np.where(np.isnan(n) & (variance == 0), np.nan, variance)
        if self.bounded:
            variance = variance + unseen_agreement(mean, n, self.n_seeds[places])
        noise = self._noise(block)[places - block * CHUNK]
        draws = confidence_draws(mean, variance, n, replicates, noise, self.bounded)
        # One behind the other: a file with holes took a minute to be deleted.
        end = os.fstat(self._file.fileno()).st_size
        os.pwrite(self._file.fileno(), draws.data, end)
        self._at[places] = end // draws[0].nbytes + np.arange(len(places))

    def _noise(self, block: int) -> np.ndarray:
        """The block's own part of one stream of noise: (``CHUNK``, R), fewer in the last."""
        rng = np.random.default_rng(self.seed)
        if block < len(self._states):
            rng.bit_generator.state = self._states[block]
        elif self._states:
            rng.bit_generator.state = self._states[-1]
        for at in range(min(block, max(0, len(self._states) - 1)), block + 1):
            if at == len(self._states):
                self._states.append(rng.bit_generator.state)
            rows = min(CHUNK, len(self.mean) - at * CHUNK)
            noise = rng.standard_normal((rows, self.means.resamples), dtype=np.float32)
        return noise


@dataclass(frozen=True)
class Derived:
    """Functions (N, R) of draws, made row by row when they are asked for."""

    shape: tuple[int, int]
    make: Callable[[np.ndarray], np.ndarray]
    """rows (k,) -> draws (k, R)"""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: ArrayLike | slice) -> np.ndarray:
        chosen = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows, int)]
        return self.make(chosen)


Rows = np.ndarray | Draws | Derived


def portions(rows: Rows) -> Iterator[np.ndarray]:
    """All rows, ``ROWS_AT_ONCE`` at a time, at least one portion."""
    for start in range(0, max(1, len(rows)), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]
