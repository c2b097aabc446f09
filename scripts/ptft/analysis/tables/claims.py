"""The claims of a study's first page, as one family: tested together, with joint intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import schema
from ptft.analysis.estimates import Changes, Estimates, SeedPart, difference, mean_changes
from ptft.analysis.scores import BASE, GUESS, METHOD, Scores, at_last
from ptft.analysis.settings import Settings
from ptft.analysis.simultaneous import Together, together
from ptft.analysis.statistics import holm, two_sided_p
from ptft.analysis.tables.forgetting import headroom_change, transfer_pairs
from ptft.analysis.tables.formats import ALL_DATASETS, format_gaps, format_trends
from ptft.analysis.tables.gains import gain_trends, grouped_pairs
from ptft.analysis.tables.learning import GUESSED, hidden_labels, suspicious
from ptft.analysis.tables.remedies import (
    REFERENCE,
    compared,
    mean_points,
    points_of,
    remedy_trends,
)
from ptft.analysis.tuned_models import shown

KEYS = schema(
    *("question", "claim", "checkpoint", *METHOD[:-1], "swept"),
    *("train_task", "dataset", "direction", "format", "group", "datasets"),
    **dict.fromkeys(["question", "claim", "direction", "group"], pl.String),
)
SCHEMA = KEYS | schema(
    *("n_seeds", "value", "stderr", "ci_low", "ci_high", "p", "detectable", "margin", "verdict")
)
# Claims with a margin within which a change counts as none: what of the settings it is.
MARGINS = {"rise": "rise_margin", "tuned rise": "rise_margin", "excess": "rise_margin"}
AGAIN = -1
"""as ``inner``: the best of all candidates, chosen again in each draw"""
Part = tuple[pl.DataFrame, Estimates]
"""columns of ``KEYS`` (as far as known), n_seeds, and ``outer``: candidates of one claim, and
``inner``: what each is compared with; and the estimates"""


def claims(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Claims that the first page may make, each with an interval that holds for all at once.

    One row per claim, with the ``datasets`` of a mean, by ``question`` of the page: how base scores
    rise (taught: `rise`) and are above guessing (`rise above guessing`, last checkpoint); gains on
    own test sets at the last checkpoint (added: `gain`, `mean gain` of a group); how tuned scores
    rise (latent: `tuned rise`), are above guessing, and by how much more they rise than the base's
    (`excess`); what is lost on other families where there is something to forget (forgotten:
    `headroom`), of generic text (texts: `text`, of every setting, and `base text`, of the last base
    model since the first; bits per byte); what a method keeps more than full fine-tuning at equal
    gain (spared); what another format costs (formats: `gap`); how far the best checkpoint is above
    the last (overtraining: `drop`), and the earliest ``checkpoint`` from which on none is below the
    last by ``stop_margin`` (stopping: `stop`, verdict `earlier`; value is its score less the last).
    Of a swept method only the setting that validation chooses, except in `spared`.

    ci_low and ci_high: in at most 1 - ``level`` of studies any of these intervals misses the truth;
    so "the largest of", "any of" and "k of n" are covered. p is adjusted for all claims likewise.
    With one training seed the truth is that of these models, with several of the method; few seeds'
    variances are pooled (``analysis.simultaneous``). detectable: the smallest true value that is
    claimed in 80 % of studies.

    verdict: `rises` or `falls`, the interval excludes zero (and a rise is learning: by
    ``rise_margin`` or more, above guessing); `flat`, the whole interval is within ``margin``
    (equivalence, two one-sided tests); else `undecided`. An excess `rises` where the tuned score
    rises, and more than the base score does; `only tuned`, where the base score is also flat.

    Slopes along pre-training (claim `trend`) treat the checkpoints as a sample; they are a family
    of their own, their p-values adjusted by Holm (1979).
    """
    hidden = hidden_labels(suspicious(scores, settings))
    view = scores.main_view(settings.format, settings.shots)
    parts = [
        part
        for part in (
            *_taught(view, hidden),
            *_changes(view, scores, settings, hidden),
            *_latent(view, scores, hidden),
            *_texts(scores),
            *_formats(scores, settings),
            *_spared(scores, settings),
            *_overtraining(view, scores),
        )
        if len(part[0])
    ]
    runs = view.cells.filter(pl.col("method").is_not_null())["run"].n_unique()
    found = together([estimates for _, estimates in parts], settings.level, runs)
    schema = {**KEYS, "n_seeds": pl.Int64, "outer": pl.Int64, "inner": pl.Int64, "at": pl.String}
    tables = [
        table.select(
            pl.col(name).cast(dtype) if name in table.columns else pl.lit(None, dtype).alias(name)
            for name, dtype in schema.items()
        )
        for table, _ in parts
    ]
    rows = pl.concat(tables) if tables else pl.DataFrame(schema=schema)
    rows = _with_limits(rows, found)
    stops = pl.col("claim") == "stop"
    table = _with_verdicts(_combined(rows.filter(~stops), found), view, settings)
    table = pl.concat([table.select(*SCHEMA), _stops(rows.filter(stops), settings).select(*SCHEMA)])
    return pl.concat([table.select(*SCHEMA), _trends(scores, settings).select(*SCHEMA)])


NUMBERS = ("value", "stderr", "ci_low", "ci_high", "score", "detectable")


def _with_limits(rows: pl.DataFrame, found: Together) -> pl.DataFrame:
    known = (found.values, found.stderr, found.low, found.high, found.score, found.detectable)
    return rows.with_columns(
        pl.Series(name, column, pl.Float64) for name, column in zip(NUMBERS, known, strict=True)
    )


def _stops(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The earliest checkpoint from which on no tuned score is below the last one by the margin.

    It counts if that of each checkpoint from there on is within the margin by its lower limit.
    """
    found = []
    by = ["method", "setting", "train_task", "dataset"]
    for _, curve in rows.sort("outer", descending=True).group_by(by, maintain_order=True):
        stop = None
        for row in curve.iter_rows(named=True):
            if not row["ci_low"] >= -settings.stop_margin:  # NaN where no error is known
                break
            stop = row
        row = stop or curve.row(0, named=True)
        found.append(
            row
            | {
                "checkpoint": row["at"], "p": None,
                "margin": settings.stop_margin, "verdict": "earlier" if stop else "undecided",
            }
        )  # fmt: skip
    return pl.DataFrame(
        [{name: row[name] for name in SCHEMA} for row in found], schema=SCHEMA
    ).with_columns(pl.col(pl.Float64).fill_nan(None))


def _combined(rows: pl.DataFrame, found: Together) -> pl.DataFrame:
    """One row per claim, from its candidates: the largest, over ``outer``, of the smallest."""
    keys = list(KEYS)
    smallest = rows.group_by(*keys, "outer", maintain_order=True).agg(
        pl.col("n_seeds", *NUMBERS).sort_by("value").first(),
        low=pl.col("ci_low").min(),
        high=pl.col("ci_high").filter(pl.col("inner") != AGAIN).min(),
        least=pl.col("score").min(),
    )
    table = smallest.group_by(keys, maintain_order=True).agg(
        pl.col("n_seeds", "value", "stderr", "detectable").sort_by("value").last(),
        ci_low=pl.col("low").max(),
        ci_high=pl.col("high").max(),
        score=pl.col("least").max(),
    )
    bounded = pl.col("question") != "texts"  # a change of a score, or a share of what was there
    table = table.with_columns(
        pl.when(bounded).then(pl.col(end).clip(-1, 1)).otherwise(end).alias(end)
        for end in ("ci_low", "ci_high")
    )
    p = [found.p(score) for score in table["score"]]
    return table.with_columns(pl.Series("p", p, pl.Float64)).with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


def _with_verdicts(table: pl.DataFrame, view: Scores, settings: Settings) -> pl.DataFrame:
    """Add margin and verdict."""
    verdicts: list[str] = []
    margins = [_margin(claim, settings) for claim in table["claim"]]
    plain = [
        _verdict(low, high, margin)
        for low, high, margin in zip(table["ci_low"], table["ci_high"], margins, strict=True)
    ]
    known = {
        (row["claim"], row["method"], row["train_task"], row["dataset"]): verdict
        for row, verdict in zip(table.iter_rows(named=True), plain, strict=True)
    }
    guessed = _guessed(view)
    for row, verdict in zip(table.iter_rows(named=True), plain, strict=True):
        arm = (row["method"], row["train_task"], row["dataset"])
        base = known.get(("rise", None, None, row["dataset"]))
        if row["claim"] in ("rise", "tuned rise") and verdict == "rises":
            above = known.get((f"{row['claim']} above guessing", *arm), "rises") == "rises"
            learned = row["value"] >= settings.rise_margin and above and arm not in guessed
            verdict = "rises" if learned else "undecided"
            known[row["claim"], *arm] = verdict
        if row["claim"] == "excess" and verdict == "rises":
            tuned = known.get(("tuned rise", *arm))
            verdict = (
                "undecided" if tuned != "rises" else "only tuned" if base == "flat" else "rises"
            )
        verdicts.append(verdict)
    return table.with_columns(
        pl.Series("margin", margins, pl.Float64), pl.Series("verdict", verdicts, pl.String)
    )


def _margin(claim: str, settings: Settings) -> float | None:
    return getattr(settings, MARGINS[claim]) if claim in MARGINS else None


def _verdict(low: float | None, high: float | None, margin: float | None) -> str:
    if low is None or high is None:
        return "undecided"
    if margin is not None and -margin < low and high < margin:
        return "flat"
    return "rises" if low > 0 else "falls" if high < 0 else "undecided"


def _guessed(view: Scores) -> set[tuple[str | None, str | None, str]]:
    """Method, task and dataset whose last score is a constant answer."""
    last = view.cells.filter(
        pl.col("index") == pl.col("index").max().over("method", "train_task", "dataset")
    )
    constant = last.filter(GUESSED)
    return set(constant.select("method", "train_task", "dataset").iter_rows())


def _ends(curves: pl.DataFrame, by: list[str], *more: pl.Expr) -> pl.DataFrame:
    """First and last row of each curve of several checkpoints."""
    return (
        curves.sort("index")
        .group_by(by, maintain_order=True)
        .agg(
            pl.col("row").first().alias("first"),
            pl.col("row").last(),
            pl.col("checkpoint").last(),
            pl.col("index").n_unique().alias("points"),
            pl.col("n_seeds").min(),
            *more,
        )
        .sort(by, nulls_last=False)
    )


def _single(table: pl.DataFrame, question: str, claim: str) -> pl.DataFrame:
    """Rows of claims that have one candidate each."""
    return table.with_columns(
        question=pl.lit(question), claim=pl.lit(claim), outer=pl.lit(0), inner=pl.lit(0)
    )


def _above_guessing(view: Scores, table: pl.DataFrame) -> Estimates:
    """Last scores less what a constant answer earns."""
    rows, guess = table["row"].to_numpy(), table["guess"].to_numpy()
    draws = view.draws[rows] - guess[:, None].astype(np.float32)
    values = np.nanmean(view.by_seed[rows], axis=1) - guess
    return Estimates(values, draws, SeedPart.of(view.by_seed[rows]))


def _taught(view: Scores, hidden: list[str]) -> Iterator[Part]:
    base = view.cells.filter(BASE, ~pl.col("dataset").is_in(hidden))
    ends = _ends(base, ["dataset"], GUESS.last().alias("guess"))
    several = ends.filter(pl.col("points") > 1)
    rows = several["row"].to_numpy(), several["first"].to_numpy()
    yield _single(several, "taught", "rise"), difference(view, *rows, same_run=False)
    known = ends.filter(pl.col("guess").is_not_null())
    yield _single(known, "taught", "rise above guessing"), _above_guessing(view, known)


def _changes(view: Scores, scores: Scores, settings: Settings, hidden: list[str]) -> Iterator[Part]:
    """Gains on own test sets, their means by group, and what is lost elsewhere."""
    pairs = shown(view.pairs(), scores.arms)
    own = at_last(pairs.filter(pl.col("domain") == "in"), "dataset", "train_task", "method")
    own = own.filter(~pl.col("dataset").is_in(hidden)).sort("method", "train_task", "dataset")
    yield _single(own, "added", "gain"), Changes.of(view, own).estimates
    grouped = shown(grouped_pairs(view, scores, settings), scores.arms)
    grouped = at_last(grouped, "group", "method")
    if len(grouped):
        by = ["group", "method", "setting", "checkpoint"]
        means, estimates = mean_changes(grouped, Changes.of(view, grouped), by)
        yield _single(means, "added", "mean gain"), estimates
    room = shown(transfer_pairs(view, settings), scores.arms)
    room = at_last(room, "direction", "method").filter("headroom")
    room = room.filter(~pl.col("dataset").is_in(hidden))
    if len(room):
        changes = Changes.of(view, room, headroom_change, room["floor"].to_numpy())
        means, estimates = mean_changes(
            room, changes, ["direction", "method", "setting", "checkpoint"]
        )
        yield _single(means, "forgotten", "headroom"), estimates


def _latent(view: Scores, scores: Scores, hidden: list[str]) -> Iterator[Part]:
    pairs = shown(view.pairs(), scores.arms).filter(
        pl.col("domain") == "in", ~pl.col("dataset").is_in(hidden)
    )
    pairs = pairs.join(
        view.cells.select("row", guess=GUESS), on="row", how="left", maintain_order="left"
    )
    more = [
        pl.col("base_row").first().alias("base_first"),
        pl.col("base_row").last().alias("base_last"),
        pl.col("guess").last(),
    ]
    ends = _ends(pairs, ["method", "setting", "train_task", "dataset"], *more)
    ends = ends.filter(pl.col("points") > 1)
    last, first, base_last, base_first = (
        ends[name].to_numpy() for name in ("row", "first", "base_last", "base_first")
    )
    tuned = difference(view, last, first, same_run=False)
    yield _single(ends, "latent", "tuned rise"), tuned
    base = difference(view, base_last, base_first, same_run=False)
    assert tuned.seeds is not None and base.seeds is not None
    excess = Estimates(
        tuned.values - base.values,
        tuned.draws - base.draws,
        SeedPart.total([tuned.seeds, base.seeds]),
    )
    yield _single(ends, "latent", "excess"), excess
    known = ends.filter(pl.col("guess").is_not_null())
    yield _single(known, "latent", "tuned rise above guessing"), _above_guessing(view, known)


def _texts(scores: Scores) -> Iterator[Part]:
    if scores.texts is None:
        return
    texts = scores.texts
    tuned = pl.col("train_task").is_not_null() & pl.col("derived").is_null()
    last = at_last(texts.pairs().filter(tuned), "dataset").sort("dataset", *METHOD, "train_task")
    yield _single(last, "texts", "text"), Changes.of(texts, last).estimates
    ends = _ends(texts.cells.filter(BASE), ["dataset"])
    several = ends.filter(pl.col("points") > 1)
    rows = several["row"].to_numpy(), several["first"].to_numpy()
    yield _single(several, "texts", "base text"), difference(texts, *rows, same_run=False)


def _formats(scores: Scores, settings: Settings) -> Iterator[Part]:
    gaps, estimates = format_gaps(scores, settings)
    gaps = gaps.with_row_index("at").filter(
        pl.col("method").is_not_null(), pl.col("format") != settings.format
    )
    gaps = at_last(shown(gaps, scores.arms), "dataset", "train_task", "method", "format")
    at = gaps["at"].to_numpy().astype(int)
    assert estimates.seeds is not None
    seeds = SeedPart(estimates.seeds.variance[at], estimates.seeds.freedom[at])
    if len(gaps):
        yield (
            _single(gaps, "formats", "gap"),
            Estimates(estimates.values[at], estimates.draws[at], seeds),
        )


def _spared(scores: Scores, settings: Settings) -> Iterator[Part]:
    """Every pair of candidates of a method and of full fine-tuning, at each task's last point."""
    points = points_of(scores, settings)
    last = dict(points.table.group_by("train_task").agg(pl.col("index").max()).iter_rows())
    rows: list[dict[str, Any]] = []
    made: list[np.ndarray] = []
    for one in compared(points, settings):
        name = tuple(one.row[part] for part in ("method", "swept", "derived"))
        if (
            one.row["index"] != last[one.row["train_task"]]
            or name == REFERENCE
            or one.reference_gain <= 0
        ):
            continue
        about = one.row | {"question": "spared", "claim": "spared"}
        for outer, own in enumerate(one.own):
            # Which models gain enough is found again in each draw: a lower limit covers that.
            made += [one.spared, *(own - one.others)]
            inner = range(AGAIN, len(one.others))
            rows += [about | {"outer": outer, "inner": at} for at in inner]
    if rows:
        yield pl.DataFrame(rows, infer_schema_length=None), points.kept.estimates(np.array(made))


def _overtraining(view: Scores, scores: Scores) -> Iterator[Part]:
    """Each checkpoint's tuned score less that of the last: means of a task, and each test set."""
    pairs = shown(view.pairs(), scores.arms).filter(
        pl.col("domain") == "in", pl.col("train_task").is_not_null()
    )
    means, versions = mean_points(view, pairs, lambda tuned, base: tuned)
    curve = ["method", "setting", "train_task"]
    whole = pl.col("datasets") == pl.col("datasets").sort_by("index").last().over(curve)
    kept = means.with_row_index("point").filter(whole)
    last = pl.col("point").sort_by("index").last().over(curve)
    earlier = kept.with_columns(
        last=last, to=pl.col("checkpoint").sort_by("index").last().over(curve)
    )
    earlier = earlier.filter(pl.col("point") != pl.col("last"))
    if earlier.is_empty():
        return
    ends = [earlier[name].to_numpy().astype(int) for name in ("point", "last")]
    parts = [versions.estimates(versions.values[at]).seeds for at in ends]
    found = versions.estimates(versions.values[ends[0]] - versions.values[ends[1]])
    seeds = SeedPart.total([part for part in parts if part is not None])
    table = _single(earlier, "overtraining", "drop").with_columns(
        at="checkpoint", checkpoint="to", outer="index"
    )
    yield table, Estimates(found.values, found.draws, seeds)
    rows = pairs.with_columns(
        pl.col("row", "checkpoint")
        .sort_by("index")
        .last()
        .over(*curve, "dataset")
        .name.prefix("to_")
    ).filter(pl.col("row") != pl.col("to_row"))
    within = difference(view, rows["row"].to_numpy(), rows["to_row"].to_numpy(), same_run=False)
    each = _single(rows, "stopping", "stop")
    yield each.with_columns(at="checkpoint", checkpoint="to_checkpoint", outer="index"), within


def _trends(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Slopes along pre-training that the page speaks of, adjusted for their number (Holm).

    None counts on a smaller error than the examples alone make: of many curves of few points some
    lie on a line by luck, and the residuals of these say too little.
    """
    formats = format_trends(scores, settings).filter(pl.col("dataset") == ALL_DATASETS)
    parts = {
        "added": shown(gain_trends(scores, settings), scores.arms),
        "formats": shown(formats, scores.arms).rename({"p": "slope_p"}),
        "spared": remedy_trends(scores, settings),
    }
    renamed = {f"slope_{name}": name for name in ("stderr", "ci_low", "ci_high", "p", "detectable")}
    rows = pl.concat(
        [
            table.rename(renamed | {"slope": "value"}).with_columns(question=pl.lit(question))
            for question, table in parts.items()
        ],
        how="diagonal_relaxed",
    ).with_columns(claim=pl.lit("trend"), margin=pl.lit(None, pl.Float64))
    slopes, errors = (rows[name].to_numpy() for name in ("value", "slope_example_error"))
    p = holm(np.fmax(rows["p"].cast(pl.Float64).to_numpy(), two_sided_p(slopes, errors)))
    sign = pl.when(pl.col("value") > 0).then(pl.lit("rises")).otherwise(pl.lit("falls"))
    clear = pl.col("p").fill_null(1.0) <= 1 - settings.level
    rows = rows.with_columns(pl.Series("p", p, pl.Float64).fill_nan(None)).with_columns(
        verdict=pl.when(clear).then(sign).otherwise(pl.lit("undecided"))
    )
    return rows.select(
        pl.col(name).cast(dtype) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in SCHEMA.items()
    )
