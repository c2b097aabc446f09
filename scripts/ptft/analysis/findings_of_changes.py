"""Findings on what fine-tuning changes elsewhere.

Forgetting, generic text, remedies, prompt formats, and pre-training for too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from ptft.analysis.findings import (
    CURVE,
    Condition,
    Finding,
    Row,
    Tables,
    arm_of,
    as_number,
    claim_of,
    curve,
    first_of,
    interval,
    of_row,
    of_samples,
    rows_of,
    same_curve,
    smallest,
    trend_of,
    trend_verdict,
    verdict_of,
)
from ptft.analysis.scores import at_last
from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.formats import ALL_DATASETS
from ptft.analysis.tables.remedies import is_reference
from ptft.analysis.tuned_models import CHOSEN

FIXED = pl.col("setting").ne_missing(CHOSEN)
"""rows of single settings; those of chosen ones repeat them"""
ZERO = 0.01
"""a base score below it is nothing"""


def findings_on_changes(tables: Tables, settings: Settings) -> list[Finding]:
    """Answers of all questions on changes elsewhere, in the order of the page."""
    return [
        *forgotten(tables, settings),
        *texts(tables),
        *spared(tables, settings),
        *formats(tables, settings),
        *overtraining(tables, settings),
    ]


def forgotten(tables: Tables, settings: Settings) -> Iterator[Finding]:
    """Findings on losses on other families at the last checkpoint, by direction.

    The main number is about pairs of task and dataset where there is something to forget, the base
    score above guessing: the change in parts of that. Beside it is the paper's ratio over all pairs
    and checkpoints.
    """
    means = rows_of(tables, "forgetting", pl.col("train_task") == ALL_TASKS)
    if means is None:
        return
    last = at_last(means, "direction", "method").sort("headroom", "direction", nulls_last=True)
    names = {name for datasets in last["datasets"] for name in datasets.split()}
    condition = Condition.of(tables.get("base_scores"), names)
    rows = [
        of_row(
            "forgotten",
            "direction",
            row,
            "headroom",
            "headroom_",
            says=("n_cells",),
            verdict=verdict_of(row["headroom_ci_low"], row["headroom_ci_high"], 0)
            if row["headroom_pairs"]
            else "nothing to forget",
            about={key: value for key, value in arm_of(row).items() if key != "task"},
            condition=condition,
            curve=curve(same_curve(means, row, ["direction", "method"]), "headroom"),
            more=_pooled(tables, row) | {"pairs": row["headroom_pairs"]},
        )
        for row in last.iter_rows(named=True)
    ]
    lost = [row for row in rows if row.verdict == "falls"]
    most = lost[0] if lost else rows[0]
    text = _worst_text(tables)
    headline = replace(
        most,
        kind="forgotten",
        verdict="falls" if most.verdict == "falls" else "not shown",
        detectable=smallest(last["headroom_detectable"]),
        count=len(lost),
        of=len(rows),
    )
    if headline.verdict == "not shown" and text is not None:
        headline = replace(text, question="forgotten", kind="forgotten_text", condition=condition)
    yield headline
    yield from rows
    if any(row.more["opposite"] for row in rows):
        yield Finding("forgotten", "opposite_signs")
    yield from of_samples(tables, "forgotten", "kept", settings)


def _pooled(tables: Tables, row: Row) -> dict[str, Any]:
    """The paper's ratio in the direction of a row, pooled over checkpoints (table `transfer`)."""
    found = same_curve(tables.get("transfer"), row, ["direction", "method", "setting"])
    pooled = None if found is None else first_of(found)
    if pooled is None:
        return {"mrc": None, "mrc_ci_low": None, "mrc_ci_high": None, "opposite": False}
    value, change = pooled["mrc"], row["headroom"]
    opposite = value is not None and change is not None and value * change < 0
    ratio = {name: pooled[name] for name in ("mrc", "mrc_ci_low", "mrc_ci_high")}
    return ratio | {"opposite": opposite}


def _tuned_texts(tables: Tables) -> pl.DataFrame | None:
    """Losses of tuned models on generic text, at the last checkpoint."""
    tuned = rows_of(
        tables, "generic_text", pl.col("method").is_not_null(), pl.col("base").is_not_null()
    )
    return None if tuned is None else at_last(tuned, "dataset")


def _worst_text(tables: Tables) -> Finding | None:
    """The largest loss on generic text that is sure; None if there is none."""
    tuned = _tuned_texts(tables)
    if tuned is None:
        return None
    worse = tuned.filter(pl.col("change_ci_low") > 0, FIXED).sort("change", descending=True)
    row = first_of(worse)
    if row is None:
        return None
    line = same_curve(tables["generic_text"], row, [*CURVE, "setting"])
    return of_row(
        "texts",
        "texts",
        row,
        "change",
        "change_",
        says=("base",),
        verdict="rises",
        curve=curve(line, "change"),
        detectable=None,
    )


def texts(tables: Tables) -> Iterator[Finding]:
    """Loss on generic text: base models from first to last, tuned models at the last."""
    table = rows_of(tables, "generic_text")
    if table is None:
        return
    tuned = _tuned_texts(tables)
    if tuned is not None:
        worse = tuned.filter(pl.col("change_ci_low") > 0, FIXED)
        headline = _worst_text(tables) or Finding("texts", "texts", verdict="not shown")
        seen = smallest(tuned["change_detectable"])
        yield replace(headline, count=len(worse), of=len(tuned.filter(FIXED)), detectable=seen)
    learned = list(_base_texts(table))
    if tuned is None and learned:
        yield replace(min(learned, key=lambda found: found.value or 0), kind="texts_of_base")
    yield from learned
    for row in () if tuned is None else tuned.iter_rows(named=True):
        more = {"before": row["base"], "after": row["bits_per_byte"], "same": row["same_top_token"]}
        yield of_row("texts", "text", row, "change", "change_", more=more)


def _base_texts(table: pl.DataFrame) -> Iterator[Finding]:
    """Change of the base models' loss from the first to the last checkpoint."""
    for _, one in table.group_by("dataset", maintain_order=True):
        base = one.filter(pl.col("method").is_null()).sort("index")
        if len(base) > 1:
            first, last = base.row(0, named=True), base.row(-1, named=True)
            yield Finding(
                "texts",
                "text",
                **interval(last, "since_first", "since_first_"),
                about={"dataset": last["dataset"]},
                curve=curve(base, "bits_per_byte"),
                more={"before": first["bits_per_byte"], "after": last["bits_per_byte"]},
            )


def others_at_last(equal_gain: pl.DataFrame) -> pl.DataFrame:
    """Methods except full fine-tuning, at equal gain, at each task's last checkpoint."""
    return at_last(equal_gain.filter(~is_reference()), "train_task")


def _method(row: Row) -> dict[str, str | None]:
    """Method, what is swept of it, and derivation, of a row of `equal_gain`."""
    names = {"method": "method", "setting": "swept", "derived": "derived", "task": "train_task"}
    about = {key: row[name] for key, name in names.items() if row[name] is not None}
    return about | {"checkpoint": row.get("checkpoint"), "seeds": row.get("n_seeds")}


def spared(tables: Tables, settings: Settings) -> Iterator[Finding]:
    """Which method keeps more of other families than full fine-tuning at the same gain.

    Where no gain is shown there is nothing that a remedy could have bought: such a task is named,
    and no method is praised for it.
    """
    table = rows_of(tables, "equal_gain")
    if table is None:
        return
    others = others_at_last(table)
    gaining = _gaining_tasks(tables)
    idle = sorted({*others["train_task"]} - gaining)
    compared = others.filter(
        pl.col("train_task").is_in(sorted(gaining)),
        pl.col("enough") > 0,
        pl.col("spared").is_not_null(),
    )
    sure = compared.filter(pl.col("spared_ci_low") > 0).sort("spared", descending=True)
    headline = Finding(
        "spared",
        "spared",
        verdict="not shown" if len(compared) else "no gain",
        detectable=smallest(compared["spared_detectable"]),
        count=len(sure),
        of=len(compared),
    )
    if most := first_of(sure):
        line = same_curve(table, most, ["train_task", "method", "swept", "derived"])
        headline = replace(
            headline,
            **interval(most, "spared", "spared_"),
            verdict="keeps more",
            about=_method(most),
            curve=curve(line, "spared"),
            more={"gain": most["enough"]},
        )
    yield headline
    if idle:
        yield Finding("spared", "no_gain", about={"tasks": idle}, of=len(idle))
    yield from _remedy_trends(tables, settings)
    for row in others.iter_rows(named=True):
        yield of_row(
            "spared",
            "remedy",
            row,
            "spared",
            "spared_",
            says=("kept",),
            verdict=verdict_of(row["spared_ci_low"], row["spared_ci_high"], 0),
            about=_method(row),
            more={"gain": row["enough"]},
        )


def _gaining_tasks(tables: Tables) -> set[str]:
    """Tasks on whose own test sets some tuned model of the last checkpoint gains for sure."""
    own = rows_of(tables, "gains", pl.col("domain") == "in")
    if own is None:
        own = rows_of(tables, "tradeoff")
        own = None if own is None else own.with_columns(ci_low="gain_ci_low")
    if own is None:
        return set()
    return set(at_last(own, "train_task").filter(pl.col("ci_low") > 0)["train_task"])


def _remedy_trends(tables: Tables, settings: Settings) -> Iterator[Finding]:
    """Methods whose spared score changes along pre-training."""
    known = rows_of(tables, "remedy_trends", pl.col("slope_p").is_not_null())
    if known is None:
        return
    clear = known.filter(pl.col("slope_p") <= 1 - settings.level)
    if clear.is_empty():
        yield Finding(
            "spared",
            "no_remedy_trend",
            p=as_number(known["slope_p"].min()),
            detectable=smallest(known["slope_detectable"]),
            of=len(known),
        )
    for row in clear.iter_rows(named=True):
        verdict = trend_verdict(row["slope"], row["slope_p"], settings)
        told = {"p": row["slope_p"], "verdict": verdict, "about": _method(row)}
        yield Finding("spared", "remedy_trend", **interval(row, "slope", "slope_"), **told)


def formats(tables: Tables, settings: Settings) -> Iterator[Finding]:
    """Findings on the cost of another prompt format, and whether it changes."""
    rows = rows_of(tables, "formats", pl.col("method").is_not_null())
    if rows is None:
        return
    others = at_last(rows).filter(pl.col("format") != settings.format)
    if others.is_empty():
        return
    condition = Condition.of(others.drop("format"))
    lost = others.filter(pl.col("gap_ci_high") < 0).sort("gap", "dataset", "format")
    most = first_of(lost)
    yield Finding(
        "formats",
        "formats",
        **interval(most, "gap", "gap_"),
        detectable=smallest(others["gap_detectable"]),
        count=len(lost),
        of=len(others),
        about=arm_of(most),
        condition=condition,
        curve=curve(same_curve(rows, most, [*CURVE, "format"]), "gap"),
        more={"trained": settings.format},
    )
    trends = rows_of(tables, "format_trends")
    if trends is None:
        return
    means = trends.filter(pl.col("dataset") == ALL_DATASETS)
    for row in means.sort("method", "format", nulls_last=False).iter_rows(named=True):
        found = trend_of("formats", "format_trend", row, "p", condition, settings)
        if row["method"] is not None and row["format"] == "instruct":
            yield claim_of(found, "format_claim")
        yield found


def overtraining(tables: Tables, settings: Settings) -> Iterator[Finding]:
    """Whether the last checkpoint is worse to fine-tune than the best, and what noise costs."""
    table = rows_of(tables, "overtraining", pl.col("p").is_not_null())
    if table is not None:
        lines = list(_declines(table, tables, settings))
        worse = sorted(
            (line for line in lines if line.verdict == "falls"),
            key=lambda line: -(line.value or 0),
        )
        seen = smallest(table["drop_detectable"])
        headline = replace(worse[0] if worse else Finding("overtraining", ""), kind="overtraining")
        verdict = "falls" if worse else "not shown"
        yield replace(headline, verdict=verdict, count=len(worse), of=len(lines), detectable=seen)
        yield _confounded(table)
        yield from lines
    noise = rows_of(tables, "noise_sensitivity")
    if noise is None:
        return
    ends = noise.filter(pl.col("index").is_in([noise["index"].min(), noise["index"].max()]))
    for _, rows in ends.sort("dataset", "index").group_by("dataset", maintain_order=True):
        if len(rows) > 1:
            first, last = rows.row(0, named=True), rows.row(-1, named=True)
            yield Finding(
                "overtraining",
                "noise",
                **interval(last, "sensitivity"),
                about={"dataset": last["dataset"], "checkpoint": last["checkpoint"]},
                more={"first": first["sensitivity"], "first_checkpoint": first["checkpoint"]},
            )


def _declines(table: pl.DataFrame, tables: Tables, settings: Settings) -> Iterator[Finding]:
    own = rows_of(tables, "gains", pl.col("domain") == "in")
    for row in table.sort("train_task", "method", "setting").iter_rows(named=True):
        base = None
        if own is not None:
            start = {"train_task": row["train_task"], "checkpoint": row["best_checkpoint"]}
            base = as_number(own.filter(**start)["base"].mean())
        yield Finding(
            "overtraining",
            "decline",
            value=row["drop"],
            low=row["drop_low"],
            p=row["p"],
            detectable=row["drop_detectable"],
            verdict="falls" if row["p"] <= 1 - settings.level else "undecided",
            about=arm_of(row) | {"since": row["best_checkpoint"]},
            curve=_along(tables, row),
            more={
                "best": row["best"],
                "last": row["last"],
                # A model of nothing falls from nothing: a reader must know.
                "base_at_zero": base is not None and base < ZERO,
            },
        )


def _along(tables: Tables, row: Row) -> tuple[tuple[str, float | None], ...]:
    keys = ["train_task", "method", "swept", "setting"]
    line = same_curve(tables.get("along_pretraining"), row, keys)
    return () if line is None else curve(line.unique("index", keep="first"), "value")


def _confounded(rows: pl.DataFrame) -> Finding:
    """A confounder between the best and the last checkpoint: the pre-training rate."""
    ends = [
        rows.select(checkpoint=f"{end}_checkpoint", lr=f"{end}_pretraining_lr")
        for end in ("best", "last")
    ]
    rates = pl.concat(ends).unique().drop_nulls().sort("lr", "checkpoint", descending=True)
    same = rates["lr"].n_unique() == 1
    verdict = "unknown" if rates.is_empty() else "same" if same else "differs"
    return Finding("overtraining", "confounded", verdict=verdict, more={"rates": rates.rows()})
