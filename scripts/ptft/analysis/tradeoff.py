"""Gain against what is kept: fronts, and methods compared at equal gain.

Shapes: ``P`` points (models), ``V`` versions of the data: the estimate, then draws, then one per
training seed. Functions treat all versions alike, so that results for the estimate get intervals
from the draws, with thresholds computed in each draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ptft.analysis.estimates import Estimates, SeedPart


@dataclass(frozen=True)
class Versions:
    """P quantities in V versions each."""

    values: np.ndarray
    """(P, V)"""
    draws: int
    """number of versions, from the second on, that are draws; the rest are training seeds"""

    @classmethod
    def of(cls, values: np.ndarray, draws: np.ndarray, by_seed: np.ndarray) -> Versions:
        """From (P,) estimates, (P, R) draws and (P, S) scores by seed."""
        return cls(np.concatenate([values[:, None], draws, by_seed], axis=1), draws.shape[1])

    def estimates(self, found: np.ndarray) -> Estimates:
        """Functions (N, V) of these quantities as estimates; NaN draws do not count."""
        draws, seeds = np.split(found[:, 1:], [self.draws], axis=1)
        draws = np.array([_without_gaps(row) for row in draws]).reshape(draws.shape)
        return Estimates(found[:, 0], draws, SeedPart.of(seeds))


def _without_gaps(draws: np.ndarray) -> np.ndarray:
    """Draws (R,) with known ones repeated in place of NaN; all NaN if none is known."""
    known = draws[~np.isnan(draws)]
    return np.resize(known, len(draws)) if 0 < len(known) < len(draws) else draws


def on_front(gain: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(P, V) whether no other point has as much of one and more of the other; (P, V) each."""
    front = np.ones(gain.shape, dtype=bool)
    for point in range(len(gain)):
        as_good = (gain >= gain[point]) & (kept >= kept[point])
        better = (gain > gain[point]) | (kept > kept[point])
        front[point] = ~(as_good & better).any(axis=0)
    return front


@dataclass(frozen=True)
class Path:
    """The models that one method offers, as rows of P points."""

    points: Sequence[int]
    links: Sequence[tuple[int, int]] = ()
    """pairs between which every mixture exists (interpolated weights)"""


def most_kept(
    gain: np.ndarray, kept: np.ndarray, path: Path, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The most that a path keeps at a gain of at least ``least``.

    Between two linked points both quantities are assumed linear, so the best is at one of them or
    where the line crosses ``least``.

    Args:
        gain, kept: (P, V).
        least: (V,)

    Returns:
        most: (V,) NaN if the path does not reach that gain.
        share: (V,) where on the path it is: index of the point in ``path.points``, plus the
            fraction of the way to the next if it is between two linked points.
    """
    places = {row: at for at, row in enumerate(path.points)}
    values = [np.where(gain[row] >= least, kept[row], -np.inf) for row in path.points]
    shares = [np.full(len(least), float(at)) for at in range(len(path.points))]
    for one, other in path.links:
        rise = gain[other] - gain[one]
        with np.errstate(divide="ignore", invalid="ignore"):
            way = (least - gain[one]) / rise
        crosses = (way > 0) & (way < 1)
        way = np.where(crosses, way, 0.0)
        values.append(np.where(crosses, kept[one] + way * (kept[other] - kept[one]), -np.inf))
        shares.append(places[one] + way * (places[other] - places[one]))
    best = np.argmax(values, axis=0)
    most = np.take_along_axis(np.array(values), best[None], axis=0)[0]
    share = np.take_along_axis(np.array(shares), best[None], axis=0)[0]
    reached = np.isfinite(most)
    return np.where(reached, most, np.nan), np.where(reached, share, np.nan)


def best_gain(gain: np.ndarray, path: Path) -> np.ndarray:
    """The largest gain of a path (V,)."""
    return gain[list(path.points)].max(axis=0)


def gain_of_all(gain: np.ndarray, paths: Iterable[Path], margin: float) -> np.ndarray:
    """The gain (V,) that every path reaches: the lowest best gain of a path, minus ``margin``."""
    return np.min([best_gain(gain, path) for path in paths], axis=0) - margin


def reduction(most: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of the reference's forgetting that is spared: 1 - forgotten / forgotten_reference.

    Both arguments are what is kept: 0 for everything, negative for less (Watts et al. 2026, arXiv
    2605.02105, use it for losses). NaN if the reference forgets nothing.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference < 0, 1 - most / reference, np.nan)
