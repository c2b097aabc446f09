"""Sentences on curves over pre-training: what rises, by how much, and whether that is a trend."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ptft.analysis.settings import Settings
from ptft.analysis.tables.format_trends import ALL_DATASETS
from ptft.language.translation import Translate
from ptft.report.conditions import Conditions, arm_said
from ptft.report.rst import change, csv_table, listed, literal, number, p_value, would_be_seen

Row = Mapping
SCORE = ["dataset", "format", "shots"]


def group_finding(
    groups: pl.DataFrame,
    suspicious: pl.DataFrame,
    conditions: Conditions,
    settings: Settings,
    translate: Translate,
) -> list[str]:
    """Which datasets pre-training alone teaches."""
    if groups.is_empty():
        return []
    names = {
        group: groups.filter(pl.col("group") == group).sort("dataset")
        for group in ("learned", "not_learned")
    }
    weak = groups.filter(pl.col("support") < settings.level)["dataset"].sort().to_list()
    text = translate(
        "Learned in pre-training, by rule (the base score rises by at least {margin} from the "
        "first to the last checkpoint, the interval excludes zero, and the last score lies above "
        "chance and what a constant answer earns; {conditions}): {learned}. Not learned: {others}."
    ).format(
        margin=settings.rise_margin,
        conditions=conditions.of(groups["dataset"]),
        learned=_with_ends(names["learned"]),
        others=_with_ends(names["not_learned"]),
    )
    if weak:
        text += " " + translate("Not settled by the examples at hand: {names}.").format(
            names=listed(weak)
        )
    flagged = suspicious.filter(pl.col("method").is_null()).select(SCORE)
    return [text + _caveats(names["learned"], "slope_p_adjusted", flagged, settings, translate)]


def _with_ends(rows: pl.DataFrame) -> str:
    """Datasets with the base score at both ends of pre-training."""
    return (
        ", ".join(
            f"{literal(row['dataset'])} ({number(row['first'])} → {number(row['last'])})"
            for row in rows.iter_rows(named=True)
        )
        or "–"
    )


def _caveats(
    learned: pl.DataFrame, p: str, flagged: pl.DataFrame, settings: Settings, translate: Translate
) -> str:
    """What else has to be known of the curves called learned: no trend shown, flagged scores."""
    unsure = learned.filter(pl.col(p).is_null() | (pl.col(p) > 1 - settings.level))
    warned = learned.join(flagged, on=flagged.columns, how="semi")
    text = ""
    for rows, sentence in (
        (
            unsure,
            translate(
                "A straight line through all checkpoints does not rise beyond their scatter, with "
                "p adjusted for the number of curves, for {names} (neither a jump nor a rise that "
                "levels off is a line)."
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
    """Which curves rise under a flat base, then one sentence a curve of a task's own test set."""
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
    return [
        first + _caveats(shown, "tuned_slope_p_adjusted", flagged, settings, translate),
        *(
            _curve_sentence(row, conditions, settings, translate)
            for row in own.iter_rows(named=True)
        ),
    ]


def _curve_sentence(
    row: Row, conditions: Conditions, settings: Settings, translate: Translate
) -> str:
    text = translate(
        "Tuned on {task} ({arm}), {dataset} ({conditions}) goes from {first} at {start} to {last} "
        "at {end}: {rise}; the base model from {base_first} to {base_last}: {base_rise}."
    ).format(
        task=literal(row["train_task"]),
        arm=arm_said(row, translate),
        dataset=literal(row["dataset"]),
        conditions=conditions.of([row["dataset"]]),
        start=row["first_checkpoint"],
        end=row["last_checkpoint"],
        first=number(row["tuned_first"]),
        last=number(row["tuned_last"]),
        rise=_rise(row, "tuned", translate, settings.level),
        base_first=number(row["base_first"]),
        base_last=number(row["base_last"]),
        base_rise=_rise(row, "base", translate, settings.level),
    )
    if row["tuned_rise"] >= settings.rise_margin and not row["tuned_learned"]:
        if row["tuned_guessing"]:
            text += " " + translate(
                "No learning is shown: a constant answer earns {guess}."
            ).format(guess=number(row["tuned_guess"]))
        elif row["tuned_starts_below_chance"]:
            text += " " + translate("No learning is shown: it starts below chance.")
    return text + " " + _trend(row, "tuned_slope", "tuned_slope_p_adjusted", settings, translate)


def _rise(row: Row, which: str, translate: Translate, level: float) -> str:
    low, high = row[f"{which}_rise_ci_low"], row[f"{which}_rise_ci_high"]
    return change(row[f"{which}_rise"], low, high, translate, level)


def _trend(row: Row, slope: str, p: str, settings: Settings, translate: Translate) -> str:
    """Slope per checkpoint and whether it is a trend.

    Args:
        slope, p: names of the columns; one curve among many has an adjusted p-value.
    """
    if row[p] is None:
        return translate("Two checkpoints show no trend.")
    steeper = translate("it rises") if row[slope] > 0 else translate("it falls")
    if p.endswith("_adjusted"):
        sentence = translate("Per checkpoint, over all {n}: {slope}, p (adjusted) {p}: {verdict}.")
    else:
        sentence = translate("Per checkpoint, over all {n}: {slope}, p {p}: {verdict}.")
    shown = row[p] <= 1 - settings.level
    return sentence.format(
        n=row["n_checkpoints"],
        slope=change(
            row[slope], row[f"{slope}_ci_low"], row[f"{slope}_ci_high"], translate, settings.level
        ),
        p=p_value(row[p]),
        verdict=steeper if shown else translate("no trend is shown"),
    ) + ("" if shown else would_be_seen([row[f"{slope}_detectable"]], translate))


def out_of_domain_table(latent: pl.DataFrame, translate: Translate) -> str:
    """First and last scores on the rest of each task's family."""
    heads = ("tuned on", "dataset", "first tuned", "last tuned", "first base", "last base")
    columns = ("tuned_first", "tuned_last", "base_first", "base_last")
    rows = latent.filter(pl.col("domain") == "out").sort("method", "train_task", "dataset")
    return csv_table(
        [translate(head) for head in heads],
        [
            [f"{row['train_task']} ({arm_said(row, translate)})", row["dataset"]]
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
    """The paper's claim of a rising line, where it is made of this one."""
    if not made:
        return ""
    holds = row[p] is not None and row[p] <= 1 - settings.level and row["slope"] > 0
    return " " + translate(verdicts[0] if holds else verdicts[1])


GROUPS = {
    "learned": "datasets learned in pre-training",
    "not_learned": "datasets not learned in pre-training",
}


def gain_trend_findings(
    trends: pl.DataFrame, conditions: Conditions, settings: Settings, translate: Translate
) -> list[str]:
    """Whether fine-tuning adds more after more pre-training, one sentence a group and method."""
    own = trends.filter(pl.col("tuned_for") == "own task").sort("method", "group")
    return [
        translate(
            "Mean gain on {group} by the models tuned for them ({arm}; {datasets}; {conditions}): "
            "{first} at the first checkpoint, {last} at the last."
        ).format(
            group=translate(GROUPS[row["group"]]),
            arm=arm_said(row, translate),
            datasets=listed(row["datasets"].split()),
            conditions=conditions.of(row["datasets"].split()),
            first=number(row["gain_first"]),
            last=number(row["gain_last"]),
        )
        + " "
        + _trend(row, "slope", "slope_p", settings, translate)
        + _claim(row, "slope_p", row["group"] == "not_learned", GAIN_CLAIM, settings, translate)
        for row in own.iter_rows(named=True)
    ]


def format_trend_findings(
    trends: pl.DataFrame, shots: str, settings: Settings, translate: Translate
) -> list[str]:
    """Slope of the gap to the format of training, one sentence a format and kind of model.

    Args:
        shots: of the scores that are compared, in words.
    """
    sentences = []
    means = trends.filter(pl.col("dataset") == ALL_DATASETS)
    for row in means.sort("method", "format", nulls_last=False).iter_rows(named=True):
        tuned = row["method"] is not None
        sentences.append(
            translate(
                "Gap of format {format} to {trained}, {model} ({about}; below zero it is worse): "
                "{first} at the first checkpoint, {last} at the last."
            ).format(
                format=literal(row["format"]),
                trained=literal(settings.format),
                model=translate("tuned models") if tuned else translate("base models"),
                about=f"{arm_said(row, translate)}; {shots}" if tuned else shots,
                first=number(row["gap_first"]),
                last=number(row["gap_last"]),
            )
            + " "
            + _trend(row, "slope", "p", settings, translate)
            + _claim(
                row, "p", tuned and row["format"] == "instruct", FORMAT_CLAIM, settings, translate
            )
        )
    single = trends.filter((pl.col("dataset") != ALL_DATASETS) & pl.col("p_adjusted").is_not_null())
    if len(single):
        sentences.append(
            translate(
                "Of {n} gaps of single datasets {k} show a trend, adjusted for their number."
            ).format(n=len(single), k=(single["p_adjusted"] <= 1 - settings.level).sum())
        )
    return sentences
