"""From scores to functions of scores with their intervals, row by row or averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from ptft.analysis.scores import Scores
from ptft.analysis.statistics import (
    LEVEL,
    percentile_interval,
    small_sample_quantile,
    smallest_detectable,
)

# Of what a mean is made.
COUNTS = ("n_cells", "n_seeds", "datasets")
INTERVAL = ("stderr", "ci_low", "ci_high")
DETECTABLE = "detectable"
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SeedPart:
    """The training seeds' part in the variance of N estimates, known from few of them."""

    variance: np.ndarray
    """(N,)"""
    freedom: np.ndarray
    """(N,) degrees of freedom; infinite where the part is zero"""

    @classmethod
    def of(cls, by_seed: np.ndarray) -> SeedPart:
        """That of the means over seeds (N, S); NaN stands for a seed that is not there."""
        seeds = (~np.isnan(by_seed)).sum(axis=1)
        several = seeds > 1
        spread = np.zeros(len(by_seed))
        spread[several] = np.nanvar(by_seed[several], axis=1, ddof=1) / seeds[several]
        return cls(spread, np.where(several, seeds - 1.0, np.inf))

    @classmethod
    def total(cls, parts: list[SeedPart]) -> SeedPart:
        """That of sums of independent estimates (Satterthwaite, 1946)."""
        variances = np.stack([part.variance for part in parts])
        freedoms = np.stack([part.freedom for part in parts])
        variance = variances.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            freedom = variance**2 / (variances**2 / freedoms).sum(axis=0)
        return cls(variance, np.where(variance > 0, freedom, np.inf))


@dataclass(frozen=True)
class Estimates:
    """N estimates: ``values`` (N,), ``draws`` (N, R) of each, and the seeds' part of the error."""

    values: np.ndarray
    draws: np.ndarray
    seeds: SeedPart | None = None

    def interval(self, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Standard error, lower and upper limit (N,); NaN where no error is known.

        The limits are percentiles of the draws, further out where they rest on few seeds (see
        ``ptft.analysis.statistics.small_sample_quantile``).
        """
        tail = (1 - level) / 2
        stderr, low, high = percentile_interval(self.draws, level)
        low, high = (np.where(np.isnan(self.values), np.nan, limit) for limit in (low, high))
        if self.seeds is not None:
            quantile = small_sample_quantile(tail, self._share(stderr), self.seeds.freedom)
            wider = quantile / small_sample_quantile(tail, 0, np.inf)
            low = self.values - wider * (self.values - low)
            high = self.values + wider * (high - self.values)
        return stderr, low, high

    def detectable(self, level: float = LEVEL, stderr: np.ndarray | None = None) -> np.ndarray:
        """The smallest true difference (N,) that would be found with a power of 80 %.

        Args:
            stderr: that of :meth:`interval`, where it is known already.
        """
        if stderr is None:
            stderr = self.draws.std(axis=1)
        if self.seeds is None:
            return smallest_detectable(stderr, level)
        return smallest_detectable(stderr, level, self._share(stderr), self.seeds.freedom)

    def _share(self, stderr: np.ndarray) -> np.ndarray:
        """The seeds' part of the variance (N,)."""
        assert self.seeds is not None
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(self.seeds.variance / stderr**2)


def with_interval(
    frame: pl.DataFrame, estimates: Estimates, level: float = LEVEL, prefix: str = ""
) -> pl.DataFrame:
    """Add stderr, ci_low and ci_high (null where unknown), the columns prefixed."""
    return _with_columns(frame, INTERVAL, _interval(frame, estimates, level), prefix)


def with_comparison(
    frame: pl.DataFrame, estimates: Estimates, level: float = LEVEL, prefix: str = ""
) -> pl.DataFrame:
    """:func:`with_interval` of differences, and detectable: ``Estimates.detectable``, prefixed."""
    interval = _interval(frame, estimates, level)
    least = interval[0] if frame.is_empty() else estimates.detectable(level, interval[0])
    return _with_columns(frame, (*INTERVAL, DETECTABLE), (*interval, least), prefix)


def with_estimates(
    frame: pl.DataFrame, name: str, estimates: Estimates, level: float = LEVEL
) -> pl.DataFrame:
    """Add estimates as column ``name``, and :func:`with_comparison` of them, prefixed by it."""
    values = pl.Series(name, estimates.values, dtype=pl.Float64).fill_nan(None)
    return with_comparison(frame.with_columns(values), estimates, level, f"{name}_")


def _interval(frame: pl.DataFrame, estimates: Estimates, level: float) -> tuple[np.ndarray, ...]:
    return (np.empty(0),) * 3 if frame.is_empty() else estimates.interval(level)


def _with_columns(
    frame: pl.DataFrame, names: tuple[str, ...], values: tuple[np.ndarray, ...], prefix: str
) -> pl.DataFrame:
    return frame.with_columns(
        pl.Series(prefix + name, column, dtype=pl.Float64).fill_nan(None)
        for name, column in zip(names, values, strict=True)
    )


def difference(view: Scores, rows: np.ndarray, others: np.ndarray, same_run: bool) -> Estimates:
    """Scores in ``rows`` (N,) minus those in ``others``, rows of ``view``.

    Args:
        same_run: each pair is of the same models, so that their seeds are paired; else they are
            of independent models.
    """
    values = np.nanmean(view.by_seed[rows], axis=1) - np.nanmean(view.by_seed[others], axis=1)
    draws = view.draws[rows] - view.draws[others]
    if same_run:
        return Estimates(values, draws, SeedPart.of(view.by_seed[rows] - view.by_seed[others]))
    parts = [SeedPart.of(view.by_seed[at]) for at in (rows, others)]
    return Estimates(values, draws, SeedPart.total(parts))


@dataclass(frozen=True)
class Changes:
    """A function of tuned and base scores for the rows of ``Scores.pairs``."""

    values: np.ndarray
    """(N,)"""
    draws: np.ndarray
    """(N, R)"""
    by_seed: np.ndarray
    """(N, S) with the score of each training seed in the place of their mean"""

    @classmethod
    def of(
        cls,
        view: Scores,
        pairs: pl.DataFrame,
        change: Callable[..., np.ndarray] = np.subtract,
        *more: np.ndarray,
    ) -> Changes:
        """``change(tuned, base, *more)``; each of ``more`` (N,) has one number per pair."""
        rows, base_rows = pairs["row"].to_numpy(), pairs["base_row"].to_numpy()
        base, columns = pairs["base"].to_numpy(), [one[:, None] for one in more]
        return cls(
            change(pairs["value"].to_numpy(), base, *more),
            change(view.draws[rows], view.draws[base_rows], *columns),
            change(view.by_seed[rows], base[:, None], *columns),
        )

    @property
    def estimates(self) -> Estimates:
        """Each row by itself."""
        return Estimates(self.values, self.draws, SeedPart.of(self.by_seed))

    def mean(self, rows: list[int], runs: np.ndarray) -> tuple[float, np.ndarray, SeedPart]:
        """Mean over ``rows``: value, draws (R,), and the seeds' part, of the runs it is made of.

        Args:
            runs: (N,) number of the run of every row; rows of one run share their seeds.
        """
        parts = []
        for run in np.unique(runs[rows]):
            own = [row for row in rows if runs[row] == run]
            weighted = self.by_seed[own].mean(axis=0, keepdims=True) * len(own) / len(rows)
            parts.append(SeedPart.of(weighted))
        return self.values[rows].mean(), self.draws[rows].mean(axis=0), SeedPart.total(parts)


def mean_changes(
    pairs: pl.DataFrame, changes: Changes, by: list[str]
) -> tuple[pl.DataFrame, Estimates]:
    """Average ``changes`` of ``pairs`` over groups ``by``.

    Returns:
        One row per group: ``by``, ``n_cells``, ``n_seeds`` (the fewest), and ``datasets``: what was
        averaged over, sorted, joined by spaces; and the means in that order. The datasets are
        taken as given: the interval covers the choice of examples (and seeds), not of datasets.
    """
    groups = (
        pairs.with_columns(pl.int_range(pl.len()).alias("_position"))
        .group_by(by)
        .agg(
            pl.col("_position"),
            pl.len().cast(pl.Int64).alias("n_cells"),
            pl.col("n_seeds").min(),
            pl.col("dataset").unique().sort().str.join(" ").alias("datasets"),
        )
        .sort(by, nulls_last=True)
    )
    runs = pairs["run"].to_numpy()
    means = [changes.mean(rows, runs) for rows in groups["_position"].to_list()]
    estimates = Estimates(
        np.array([value for value, _, _ in means]),
        np.array([draws for _, draws, _ in means]),
        SeedPart(
            np.array([seeds.variance[0] for _, _, seeds in means]),
            np.array([seeds.freedom[0] for _, _, seeds in means]),
        ),
    )
    return groups.drop("_position"), estimates


def aggregate(
    pairs: pl.DataFrame,
    name: str,
    changes: Changes,
    by: list[str],
    level: float = LEVEL,
    prefix: str = "",
) -> pl.DataFrame:
    """The means of :func:`mean_changes` as column ``name``, with their interval (prefixed).

    And with the smallest difference that would be found (:func:`with_comparison`).
    """
    groups, estimates = mean_changes(pairs, changes, by)
    point = pl.Series(name, estimates.values, dtype=pl.Float64).fill_nan(None)
    table = with_comparison(groups.select(*by, point), estimates, level, prefix)
    return pl.concat([table, groups.select(COUNTS)], how="horizontal")


def flag_incomplete(table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Add ``complete``: whether a mean covers as many cells as the fullest of its group ``by``.

    A mean over fewer cells than at the other checkpoints must not be read as a trend.
    """
    return table.with_columns(
        (pl.col("n_cells") == pl.col("n_cells").max().over(by)).alias("complete")
    )
