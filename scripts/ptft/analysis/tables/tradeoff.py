"""What each tuned model gains, and what it keeps."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import SAME_ANSWER, SAME_TOP_TOKEN
from ptft.analysis.estimates import DETECTABLE, INTERVAL, Change, with_comparison, with_interval
from ptft.analysis.points import POINT, Points, mean_points
from ptft.analysis.scores import GROUP, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tradeoff import on_front

TEXT = "text_change"


def tradeoff(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Every tuned model's gain on its task and what it keeps on other families.

    One row per (checkpoint, task, method, setting, derivation, strength), seeds averaged. ``gain``
    is the mean of tuned minus base over the task's own test sets; ``kept`` the mean bounded change,
    (tuned - base) / max(tuned, base), over the datasets of other families: 0 is all, -1 nothing.
    ``front``: no other model of this checkpoint and task, the base model (0, 0) included, has as
    much of one and more of the other; ``front_share``: the share of the resamples in which that is
    so.

    ``text_change`` is what it keeps of generic text: bits per byte, tuned minus base, their mean
    over the text datasets: above 0 something is lost. ``same_answer`` is its agreement with the
    base model: the share of examples of other families on which both give the same answer, right
    or wrong (where text is generated, the same text); ``same_top_token`` that on text, the share of
    tokens where both find the same one likeliest. Null if none of that was scored.

    All have paired intervals; gain, kept and text_change also have the smallest true difference
    found with a power of 80 % (suffix ``_detectable``).
    """
    points = Points.of(scores, settings)
    fronts = np.ones((len(points.table), points.gain.draws + 1), dtype=bool)
    for _, rows in points.groups():
        gain, kept = points.take(rows)
        fronts[rows] = on_front(gain, kept)[:-1, : fronts.shape[1]]
    table = points.table
    for name, part in (("gain", points.gain), ("kept", points.kept)):
        estimates = part.estimates(part.values)
        table = table.with_columns(pl.Series(name, estimates.values, pl.Float64))
        table = with_comparison(table, estimates, settings.level, prefix=f"{name}_")
    table = table.with_columns(
        pl.Series("front", fronts[:, 0]),
        pl.Series("front_share", fronts[:, 1:].mean(axis=1), pl.Float64),
    )
    beside = _beside(scores, points)
    for name in (TEXT, SAME_ANSWER, SAME_TOP_TOKEN):
        if name in beside:
            told = _means(name, *beside[name], settings.level)
            if name != TEXT:  # where few seeds widen the interval of a share, it stays one
                told = told.with_columns(pl.col(f"^{name}_ci_.*$").clip(0, 1))
            table = table.join(told, on=POINT, how="left", nulls_equal=True, maintain_order="left")
        else:
            parts = (*INTERVAL, DETECTABLE) if name == TEXT else INTERVAL
            unknown = (name, *(f"{name}_{part}" for part in parts))
            table = table.with_columns(pl.lit(None, pl.Float64).alias(part) for part in unknown)
    return table


def _beside(scores: Scores, points: Points) -> dict[str, tuple[Scores, pl.DataFrame, Change]]:
    """What else is known of the points: by name the scores, their pairs, and what is averaged."""
    found: dict[str, tuple[Scores, pl.DataFrame, Change]] = {}
    answers, texts = scores.against_base.get(SAME_ANSWER), scores.texts
    if answers is not None:
        same = answers.cells.join(points.others, on=GROUP, how="semi", nulls_equal=True)
        found[SAME_ANSWER] = (answers.among(same), _alone(same), _as_it_is)
    if texts is not None:
        found[TEXT] = (texts, texts.pairs(), np.subtract)
        if (tokens := texts.against_base.get(SAME_TOP_TOKEN)) is not None:
            found[SAME_TOP_TOKEN] = (tokens, _alone(tokens.cells), _as_it_is)
    return found


def _as_it_is(tuned: np.ndarray, base: np.ndarray) -> np.ndarray:
    return tuned


def _alone(shares: pl.DataFrame) -> pl.DataFrame:
    """Shares that compare with a base model by themselves, in the form of pairs."""
    return shares.with_columns(base="value", base_row="row")


def _means(
    name: str, view: Scores, pairs: pl.DataFrame, change: Change, level: float
) -> pl.DataFrame:
    """The mean of each point over its datasets, with its interval."""
    means, versions = mean_points(view, pairs, change)
    estimates = versions.estimates(versions.values)
    table = means.select(POINT).with_columns(pl.Series(name, estimates.values, pl.Float64))
    told = with_comparison if name == TEXT else with_interval
    return told(table, estimates, level, f"{name}_")
