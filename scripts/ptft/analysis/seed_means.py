"""Bootstrap means over training seeds, of cells that differ in their seed only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from ptft.analysis.intervals import over_seeds, parts_of_variance
from ptft.analysis.replicates import Replicates

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
        for groups in _portions(np.flatnonzero(sizes > 1)):
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


def _portions(groups: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(groups), GROUPS_AT_ONCE):
        yield groups[start : start + GROUPS_AT_ONCE]
