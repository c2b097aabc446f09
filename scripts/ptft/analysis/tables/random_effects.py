"""Mean gain and loss, where prompt formats and datasets are a sample of others like them."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import Changes, Estimates, SeedPart
from ptft.analysis.scores import CHECKPOINT, METHOD, Scores, with_shots
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import small_sample_quantile
from ptft.analysis.tables.gains import KEPT_BY

FACTORS = {"formats": "format", "datasets": "dataset"}
"""setting -> column of its units"""
SCHEMA = schema(
    *("quantity", *METHOD, *CHECKPOINT, "n_formats", "n_datasets", "n_seeds", "value"),
    *("fixed_ci_low", "fixed_ci_high", "stderr", "ci_low", "ci_high", "sd_formats", "sd_datasets"),
    quantity=pl.String,
)


def random_effects(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean gain and mean change elsewhere, with formats or datasets as a random sample.

    Made where ``analysis.formats`` or ``analysis.datasets`` is `random`, else empty. One row per
    (quantity, method, checkpoint): ``gain``, tuned minus base on the tasks' own test sets, and
    ``kept``, the bounded change (table `tradeoff`) on other families. ``value`` is their mean over
    all tasks, datasets and, where formats are random, prompt formats; of datasets that were scored
    in every format. fixed_ci_low and fixed_ci_high are about these formats and datasets; ci_low
    and ci_high, with stderr, also about others like them: null where there is only one. sd_formats
    and sd_datasets: standard deviation between these, beyond what examples and seeds explain.

    The variance of the mean is s² / K of its K formats (that of their means), the same of its
    datasets, and what examples and seeds add to all of them alike (:func:`sampled`). Few units
    widen the limits (``ptft.analysis.statistics.small_sample_quantile``).
    """
    random = {name: col for name, col in FACTORS.items() if getattr(settings, name) == "random"}
    if not random:
        return pl.DataFrame(schema=SCHEMA)
    cells = scores.cells
    if "formats" not in random:
        cells = cells.filter(pl.col("format") == settings.format)
    view = scores.among(with_shots(cells, settings.shots, ["dataset"]))
    by, pair = [*METHOD, *CHECKPOINT], [*METHOD, "checkpoint", "train_task", "dataset"]
    formats = pl.col("format").n_unique()
    rows = []
    for quantity, (domain, change) in KEPT_BY.items():
        pairs = view.pairs().filter(pl.col("domain") == domain, pl.col("train_task").is_not_null())
        pairs = pairs.filter(formats.over(pair) == formats.over(by)).sort("index")
        changes, runs = Changes.of(view, pairs, change), pairs["run"].to_numpy()
        for key, own in pairs.with_row_index("at").group_by(by, maintain_order=True):
            at = own["at"].to_list()
            value, draws, seeds = changes.mean(at, runs)
            _, low, high = Estimates(np.array([value]), draws[None], seeds).interval(settings.level)
            units = {name: own[column].to_numpy() for name, column in random.items()}
            rows.append(
                dict(zip(by, key, strict=True))
                | {"quantity": quantity, "value": value, "n_seeds": own["n_seeds"].min()}
                | {f"n_{name}": own[column].n_unique() for name, column in FACTORS.items()}
                | {"fixed_ci_low": low[0], "fixed_ci_high": high[0]}
                | sampled(changes.values[at], changes.draws[at], units, seeds, settings.level)
            )
    table = pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))
    table = table.with_columns(pl.col("^.*ci_.*$").clip(-1, 1))
    return table.sort("quantity", *METHOD, "index", nulls_last=False)


def sampled(
    values: np.ndarray,
    draws: np.ndarray,
    units: dict[str, np.ndarray],
    seeds: SeedPart,
    level: float,
) -> dict[str, float]:
    """Standard error and limits of the mean of values (N,) whose units are a sample.

    Each factor adds the variance between the means of its K units over K, with K - 1 degrees of
    freedom (the cluster-robust variance, Cameron, Gelbach and Miller 2011; what formats and
    datasets share is counted with both). That holds the part of the examples and seeds that
    differs between units; of their whole variance, from the draws, the rest is added.

    Args:
        draws: (N, R) of the values, paired.
        units: name of a factor -> (N,) the unit of each value.
        seeds: (1,) part of the training seeds in the mean.
    """
    errors = np.nan_to_num(draws - draws.mean(axis=1, keepdims=True))  # none is known: no part
    parts, explained, found = [seeds], 0.0, {}
    for name, unit in units.items():
        count = len(np.unique(unit))
        between, chance = float(between_units(values, unit)), between_units(errors, unit).mean()
        parts.append(SeedPart(np.array([between]), np.array([count - 1.0])))
        explained += chance
        found[f"sd_{name}"] = float(np.sqrt(count * max(0.0, between - chance)))
    known = max(0.0, errors.mean(axis=0).var() - explained)
    variance = sum(part.variance[0] for part in parts[1:]) + known
    few = SeedPart.total(parts)
    with np.errstate(invalid="ignore"):
        share = np.nan_to_num(few.variance[0] / variance)
    quantile = float(small_sample_quantile((1 - level) / 2, share, few.freedom[0]))
    reach, mean = quantile * np.sqrt(variance), values.mean()
    return found | {"stderr": np.sqrt(variance), "ci_low": mean - reach, "ci_high": mean + reach}


def between_units(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Variance of the mean of values (N, ...) from the scatter of K units; NaN for one.

    With as many values in each unit it is s² / K of the units' means.
    """
    names, place = np.unique(unit, return_inverse=True)
    k = len(names)
    if k == 1:
        return np.full(values.shape[1:], np.nan)
    member = place == np.arange(k)[:, None]
    sums = member @ (values - values.mean(axis=0))
    return k / (k - 1) * (sums**2).sum(axis=0) / len(values) ** 2
