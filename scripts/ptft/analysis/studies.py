"""Several studies side by side: joined tables with the model as a column, and differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
from scipy.stats import chi2

from ptft.analysis.statistics import adjust_p_values
from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tuned_models import shown

QUANTITIES = {
    "base": "Base scores of all models",
    "gain": "Gain by fine-tuning of all models",
    "kept": "Change on other families of all models",
}
"""by which studies are compared -> title"""
TEST_LEVEL = 0.05
NEAR = 1.1
"""two checkpoints are compared if their tokens differ by at most this factor"""
CURVE = [
    *("quantity", "method", "train_task", "family", "dataset", "kind", "metric", "format"),
    *("shots", "chance"),
]
"""what identifies a curve, in every study that has it"""
LIMITS = ["stderr", "ci_low", "ci_high"]


def joined(name: str, studies: Mapping[str, Mapping[str, pl.DataFrame]]) -> pl.DataFrame:
    """One table of all studies: their rows, with the columns ``study`` and ``model``."""
    parts = [
        tables[name].select(
            pl.lit(study).alias("study"),
            pl.lit(tables["cells"]["model"][0]).alias("model"),
            pl.all().exclude("study", "model"),
        )
        for study, tables in studies.items()
    ]
    return pl.concat(parts, how="diagonal_relaxed")


def study_curves(studies: Mapping[str, Mapping[str, pl.DataFrame]]) -> pl.DataFrame:
    """The curves of all studies over the tokens of pre-training, in one form.

    One row per study, curve and checkpoint. ``quantity``: `base`, a base model's score; `gain`,
    tuned minus base on a task's own test sets; `kept`, the bounded relative change on other
    families, of all tasks together (``dataset`` is its direction). Of a swept method only the
    setting that validation chooses, else the first; no derived arms. Points with the same
    ``aligned``, the tokens of the earliest checkpoint within 10 %, are compared.

    Args:
        studies: study -> its tables by name, and its table `arms` if it has one.

    Raises:
        ValueError: a checkpoint has no token count.
    """
    table = pl.concat(
        [_curves(study, tables) for study, tables in studies.items()], how="diagonal_relaxed"
    )
    unknown = table.filter(pl.col("tokens").is_null())
    if len(unknown):
        study, checkpoint = unknown.select("study", "checkpoint").row(0)
        raise ValueError(
            f"study {study!r}: checkpoint {checkpoint!r} has no token count; give it in the "
            "model's file: studies are compared by tokens"
        )
    near = _near(table["tokens"].unique())
    return table.with_columns(aligned=pl.col("tokens").replace_strict(near, return_dtype=pl.Int64))


def differences(table: pl.DataFrame) -> pl.DataFrame:
    """How far models differ where they are compared.

    One row per curve and ``aligned`` of table `compared` that at least two studies have, with each
    study's last checkpoint there: mean, lowest and highest value over studies, and the standard
    deviation ``sd`` between them. ``q`` and ``p``: Cochran's test (1954) that all have the same
    true value, q = sum of (value - weighted mean)² / stderr², chi-squared with n_studies - 1
    degrees of freedom; null if a standard error is unknown or zero. Scores of different models on
    the same examples count as independent, which makes the test conservative. ``p_adjusted``: over
    the whole table (Benjamini-Hochberg).

    Pre-training runs that differ only in their seed show what any difference between two models,
    or two checkpoints, has to exceed.
    """
    last = table.sort("tokens").unique(
        ["study", *CURVE, "aligned"], keep="last", maintain_order=True
    )
    groups = last.group_by(*CURVE, "aligned", maintain_order=True).agg(
        pl.len().alias("n_studies"),
        pl.col("value").mean().alias("mean"),
        pl.col("value").std().alias("sd"),
        pl.col("study").sort_by("value").first().alias("lowest_study"),
        pl.col("value").min().alias("lowest"),
        pl.col("study").sort_by("value").last().alias("highest_study"),
        pl.col("value").max().alias("highest"),
        pl.col("value").alias("values"),
        pl.col("stderr").alias("errors"),
    )
    groups = groups.filter(pl.col("n_studies") > 1)
    tests = [cochran(*pair) for pair in groups.select("values", "errors").iter_rows()]
    known = {"q": pl.Float64, "p": pl.Float64}
    found = groups.drop("values", "errors").with_columns(
        pl.Series(name, [test[at] for test in tests], dtype)
        for at, (name, dtype) in enumerate(known.items())
    )
    adjusted = adjust_p_values(found["p"].cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return found.with_columns(pl.Series("p_adjusted", adjusted).fill_nan(None)).sort(
        *CURVE, "aligned"
    )


def differing(table: pl.DataFrame, quantity: str) -> tuple[int, int]:
    """Number of points of table `differences` where models differ, and number of all points."""
    tested = table.filter(pl.col("quantity") == quantity, pl.col("p").is_not_null())
    return len(tested.filter(pl.col("p_adjusted") < TEST_LEVEL)), len(tested)


def cochran(
    values: Iterable[float], errors: Iterable[float | None]
) -> tuple[float | None, float | None]:
    """Cochran's Q of values with standard errors, and its p-value."""
    value, error = np.array(list(values)), np.array(list(errors), dtype=float)
    if not (error > 0).all():
        return None, None
    weight = error**-2
    q = float((weight * (value - np.average(value, weights=weight)) ** 2).sum())
    return q, float(chi2.sf(q, len(value) - 1))


def _curves(study: str, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The curves of one study."""
    base = tables["base_scores"].with_columns(quantity=pl.lit("base"))
    gains = shown(tables["gains"], tables.get("arms")).filter(pl.col("domain") == "in")
    kept = shown(tables["forgetting"], tables.get("arms")).filter(pl.col("train_task") == ALL_TASKS)
    parts = [
        base,
        gains.with_columns(quantity=pl.lit("gain"), value="gain"),
        kept.with_columns(quantity=pl.lit("kept"), value="bounded", dataset="direction")
        .drop(LIMITS, strict=False)
        .rename({f"bounded_{name}": name for name in LIMITS}),
    ]
    columns = [*CURVE, "checkpoint", "step", "tokens", "value", *LIMITS]
    rows = pl.concat(parts, how="diagonal_relaxed").select(
        pl.lit(study).alias("study"),
        pl.lit(tables["cells"]["model"][0]).alias("model"),
        *columns,
    )
    return rows.with_columns(pl.col("shots").cast(pl.Int64))


def _near(tokens: pl.Series) -> dict[int, int]:
    """Tokens of a checkpoint -> tokens of the earliest one near it."""
    found: dict[int, int] = {}
    first = None
    for seen in tokens.sort():
        if first is None or seen > NEAR * first:
            first = seen
        found[seen] = first
    return found
