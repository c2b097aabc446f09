"""Findings on curves over pre-training: what rises, how much, and whether it is a trend."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ptft.analysis.settings import Settings
from ptft.analysis.tables.formats import ALL_DATASETS
from ptft.language.translation import Translate
from ptft.report.conditions import Conditions, arm_said
from ptft.report.rst import (
    bracketed,
    csv_table,
    interval_head,
    listed,
    literal,
    number,
    p_value,
    span,
)

Row = Mapping
SCORE = ["dataset", "format", "shots"]


def group_finding(
    groups: pl.DataFrame,
    suspicious: pl.DataFrame,
    conditions: Conditions,
    settings: Settings,
    translate: Translate,
) -> list[str]:
    """Which datasets pre-training alone teaches; then one row per dataset."""
    if groups.is_empty():
        return []
    learned = groups.filter(pl.col("group") == "learned").sort("dataset")
    text = translate(
        "Pre-training alone teaches {k} of {n} datasets, by rule (the base score rises by at "
        "least {margin} from the first to the last checkpoint, the interval excludes zero, "
        "and the last score exceeds chance and what a constant answer earns; {conditions}): "
        "{learned}."
    ).format(
        k=len(learned),
        n=len(groups),
        margin=settings.rise_margin,
        conditions=conditions.of(groups["dataset"]),
        learned=listed(learned["dataset"].to_list()),
    )
    flagged = suspicious.filter(pl.col("method").is_null()).select(SCORE)
    caveats = _caveats(learned, "slope_p_adjusted", flagged, settings, translate)
    return [text, caveats.strip(), _group_table(groups, settings, translate)]


def _group_table(groups: pl.DataFrame, settings: Settings, translate: Translate) -> str:
    """Base scores at both ends of pre-training, learned datasets first."""
    names = {"learned": translate("learned"), "not_learned": translate("not learned")}
    rows = [
        [
            literal(row["dataset"]),
            number(row["first"]),
            number(row["last"]),
            names[row["group"]],
            "–" if row["support"] is None else number(row["support"]),
        ]
        for row in groups.sort("group", "dataset").iter_rows(named=True)
    ]
    heads = ["dataset", "first base", "last base", "in pre-training", "share of resamples"]
    return csv_table([translate(head) for head in heads], rows)


def _caveats(
    learned: pl.DataFrame, p: str, flagged: pl.DataFrame, settings: Settings, translate: Translate
) -> str:
    """Caveats of curves called learned: no trend shown, flagged scores."""
    unsure = learned.filter(pl.col(p).is_null() | (pl.col(p) > 1 - settings.level))
    warned = learned.join(flagged, on=flagged.columns, how="semi")
    text = ""
    for rows, sentence in (
        (
            unsure,
            translate(
                "A straight line through all checkpoints has no significant rise (p adjusted "
                "for the number of curves) for {names}; a jump or a rise that levels off is "
                "not a line."
            ),
        ),
        (warned, translate("Some of these scores are flagged below: {names}.")),
    ):
        if len(rows):
            text += " " + sentence.format(names=listed(rows["dataset"].unique().sort().to_list()))
    return text


def latent_findings(
    latent: pl.DataFrame,
    suspicious: pl.DataFrame,
    conditions: Conditions,
    settings: Settings,
    translate: Translate,
) -> list[str]:
    """Which curves rise over a flat base; then one row per curve of a task's own test set."""
    if latent.is_empty():
        return []
    shown = latent.filter("latent")
    flagged = suspicious.filter(pl.col("method").is_not_null()).select("train_task", *SCORE)
    first = translate(
        "Learned latently (the tuned score rises by at least {margin} while the base score does "
        "not, by the rule above; {conditions}): {names}."
    ).format(
        margin=settings.rise_margin,
        conditions=conditions.of(latent["dataset"].unique()),
        names=listed(shown["dataset"].unique().sort().to_list()),
    )
    own = latent.filter(pl.col("domain") == "in").sort("method", "train_task", "dataset")
    if own.is_empty():
        return [first]
    ends = translate(
        "Scores on the tasks' own test sets at the first and the last checkpoint. Slopes are per "
        "checkpoint, over all {n}; their p is adjusted for the number of curves."
    ).format(n=own["n_checkpoints"].max())
    heads = (
        "tuned on", "dataset", "first tuned", "last tuned", "rise, interval", "first base",
        "last base", "rise, interval", *TREND,
    )  # fmt: skip
    rows = [_curve(row, settings, translate) for row in own.iter_rows(named=True)]
    return [
        first + _caveats(shown, "tuned_slope_p_adjusted", flagged, settings, translate),
        ends,
        csv_table([interval_head(head, settings, translate) for head in heads], rows),
    ]


def _curve(row: Row, settings: Settings, translate: Translate) -> list[str]:
    """First and last score of both curves of a dataset, and the trend of the tuned one."""
    cells = [row["train_task"] + bracketed(arm_said(row, translate), translate), row["dataset"]]
    for which in ("tuned", "base"):
        rise = [row[f"{which}_rise{part}"] for part in ("", "_ci_low", "_ci_high")]
        cells += [number(row[f"{which}_first"]), number(row[f"{which}_last"]), span(*rise)]
    *trend, verdict, least = _trend(
        row, "tuned_slope", "tuned_slope_p_adjusted", settings, translate
    )
    if row["tuned_rise"] >= settings.rise_margin and not row["tuned_learned"]:
        if row["tuned_guessing"]:
            verdict = translate("no learning is shown: a constant answer earns {guess}").format(
                guess=number(row["tuned_guess"])
            )
        elif row["tuned_starts_below_chance"]:
            verdict = translate("no learning is shown: it starts below chance")
    return [*cells, *trend, verdict, least]


# Heads of what :func:`_trend` gives.
TREND = ("slope, interval", "p", "verdict", "80 % power from")


def _trend(row: Row, slope: str, p: str, settings: Settings, translate: Translate) -> list[str]:
    """Cells: slope per checkpoint, its p-value, whether it is a trend; if not, the detectable
    slope."""
    if row[p] is None:
        return ["–", "–", translate("two checkpoints show no trend"), "–"]
    steeper = translate("it rises") if row[slope] > 0 else translate("it falls")
    shown = row[p] <= 1 - settings.level
    least = row[f"{slope}_detectable"]
    return [
        span(row[slope], row[f"{slope}_ci_low"], row[f"{slope}_ci_high"]),
        p_value(row[p]).removeprefix("= "),
        steeper if shown else translate("no trend is shown"),
        "–" if shown or least is None else number(least),
    ]


def out_of_domain_table(latent: pl.DataFrame, translate: Translate) -> str:
    """First and last scores on the rest of each task's family."""
    heads = ("tuned on", "dataset", "first tuned", "last tuned", "first base", "last base")
    columns = ("tuned_first", "tuned_last", "base_first", "base_last")
    rows = latent.filter(pl.col("domain") == "out").sort("method", "train_task", "dataset")
    return csv_table(
        [translate(head) for head in heads],
        [
            [row["train_task"] + bracketed(arm_said(row, translate), translate), row["dataset"]]
            + [number(row[column]) for column in columns]
            for row in rows.iter_rows(named=True)
        ],
    )


# What the paper says of a trend, where it says so: (it holds, it is not shown).
GAIN_CLAIM = (
    "The paper's claim that fine-tuning adds more to later checkpoints holds here.",
    "The paper's claim that fine-tuning adds more to later checkpoints is not shown here.",
)
FORMAT_CLAIM = (
    "The paper's claim that more pre-training narrows this gap holds here.",
    "The paper's claim that more pre-training narrows this gap is not shown here.",
)


def _claim(
    row: Row,
    p: str,
    made: bool,
    verdicts: tuple[str, str],
    settings: Settings,
    translate: Translate,
) -> str:
    """The paper's claim of a rising line, if it makes one for this row."""
    if not made:
        return ""
    holds = row[p] is not None and row[p] <= 1 - settings.level and row["slope"] > 0
    return translate(verdicts[0] if holds else verdicts[1])


GROUPS = {
    "learned": "datasets learned in pre-training",
    "not_learned": "datasets not learned in pre-training",
}


def gain_trend_findings(
    trends: pl.DataFrame, conditions: Conditions, settings: Settings, translate: Translate
) -> list[str]:
    """Whether fine-tuning adds more after more pre-training: one row per group and method."""
    own = trends.filter(pl.col("tuned_for") == "own task").sort("method", "group")
    if own.is_empty():
        return []
    groups = [
        translate("{group}: {datasets}").format(
            group=translate(GROUPS[row["group"]]), datasets=listed(row["datasets"].split())
        )
        for row in own.unique("group", keep="first", maintain_order=True).iter_rows(named=True)
    ]
    names = {name for datasets in own["datasets"] for name in datasets.split()}
    intro = translate(
        "Mean gain at the first and the last checkpoint by the models tuned for these datasets "
        "({conditions}): {groups}. Slopes are per checkpoint, over all {n}."
    ).format(
        conditions=conditions.of(names),
        groups=translate("; ").join(groups),
        n=own["n_checkpoints"].max(),
    )
    heads = ("group", "method", "first", "last", *TREND)
    rows, claims = [], []
    for row in own.iter_rows(named=True):
        ends = [number(row["gain_first"]), number(row["gain_last"])]
        trend = _trend(row, "slope", "slope_p", settings, translate)
        group = translate(row["group"].replace("_", " "))
        rows.append([group, arm_said(row, translate), *ends, *trend])
        made = row["group"] == "not_learned"
        claims.append(_claim(row, "slope_p", made, GAIN_CLAIM, settings, translate))
    table = csv_table([interval_head(head, settings, translate) for head in heads], rows)
    return [intro, table, *dict.fromkeys(filter(None, claims))]


def format_trend_findings(
    trends: pl.DataFrame, shots: str, settings: Settings, translate: Translate
) -> list[str]:
    """Slope of the gap to the training format: one row per format and kind of model.

    Args:
        shots: of the compared scores, in words.
    """
    means = trends.filter(pl.col("dataset") == ALL_DATASETS)
    found = []
    if len(means):
        intro = translate(
            "Gap of other formats to {trained} ({shots}; below zero they are worse) at the first "
            "and the last checkpoint. Slopes are per checkpoint, over all {n}."
        ).format(trained=literal(settings.format), shots=shots, n=means["n_checkpoints"].max() or 0)
        heads = ("format", "models", "first", "last", *TREND)
        rows, claims = [], []
        for row in means.sort("method", "format", nulls_last=False).iter_rows(named=True):
            tuned = row["method"] is not None
            model = arm_said(row, translate) if tuned else translate("base")
            ends = [number(row["gap_first"]), number(row["gap_last"])]
            trend = _trend(row, "slope", "p", settings, translate)
            rows.append([row["format"], model, *ends, *trend])
            made = tuned and row["format"] == "instruct"
            claims.append(_claim(row, "p", made, FORMAT_CLAIM, settings, translate))
        table = csv_table([interval_head(head, settings, translate) for head in heads], rows)
        found = [intro, table, *dict.fromkeys(filter(None, claims))]
    single = trends.filter((pl.col("dataset") != ALL_DATASETS) & pl.col("p_adjusted").is_not_null())
    if len(single):
        found.append(
            translate(
                "Of {n} gaps of single datasets {k} show a trend after adjustment for their number."
            ).format(n=len(single), k=(single["p_adjusted"] <= 1 - settings.level).sum())
        )
    return found
