"""Findings of the front page: what was run and what came out, in sentences from the tables.

Findings along pre-training are in ``curve_findings``; ``front_page`` joins them all.
"""

from __future__ import annotations

import polars as pl

from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.learning import FLAGS
from ptft.language.translation import Translate
from ptft.report.conditions import Conditions, arm_said, seeds_said, shots_said
from ptft.report.rst import bracketed, csv_table, interval_head, listed, number


def what_was_run(cells: pl.DataFrame, missing: int, translate: Translate) -> list[str]:
    """Sentences on the size of the study."""
    main = cells.filter(pl.col("main"))
    prompted, texts = main.filter(pl.col("kind") != "text"), main.filter(pl.col("kind") == "text")
    tuned = main.filter(pl.col("method").is_not_null())
    order = main.select("checkpoint", "step").unique().sort("step", nulls_last=True)
    sentences = [
        translate(
            "{model}: pre-training checkpoints: {checkpoints} ({names}); models of each: the "
            "base, and fine-tuned: {arms} ({methods} on {tasks}; seeds: {seeds})."
        ).format(
            model=f"``{main['model'][0]}``",
            checkpoints=len(order),
            names=listed(order["checkpoint"].to_list()),
            arms=tuned.filter(pl.col("derived").is_null())["arm"].n_unique(),
            methods=listed(tuned["method"].unique().sort().to_list()),
            tasks=listed(tuned["train_task"].unique().sort().to_list()),
            seeds=max(1, tuned["seed"].n_unique()),
        ),
        translate("Scored on datasets: {datasets}, formats: {formats}, {shots}.").format(
            datasets=prompted["dataset"].n_unique(),
            formats=listed(prompted["format"].unique().sort().to_list()),
            shots=shots_said(prompted, translate),
        )
        + " "
        + how_many(prompted, translate),
    ]
    if len(texts):
        names = listed(texts["dataset"].unique().sort().to_list())
        sentences.append(
            translate("Beside that, by its loss on generic text: {names}.").format(names=names)
        )
    if missing:
        sentences.append(
            translate(
                "Scores of the study that are missing: {missing} (see ``missing.csv``); means over "
                "incomplete sets are marked in the tables."
            ).format(missing=missing)
        )
    return sentences


def how_many(main: pl.DataFrame, translate: Translate) -> str:
    """Number of scores, and of answers if every score has their number."""
    if main["n"].null_count():
        return translate("Scores in all: {cells}.").format(cells=len(main))
    return translate("Scores in all: {cells}, over answers: {examples}.").format(
        cells=len(main), examples=f"{main['n'].sum():,}"
    )


def forgetting_findings(
    forgetting: pl.DataFrame, conditions: Conditions, settings: Settings, translate: Translate
) -> list[str]:
    """Mean relative change at the last checkpoint: one row per direction and method."""
    mean = forgetting.filter(pl.col("train_task") == ALL_TASKS).sort("index")
    last = mean.group_by("direction", "method", maintain_order=True).last()
    if last.is_empty():
        return []
    names = {name for datasets in last["datasets"] for name in datasets.split()}
    intro = translate(
        "Change of a tuned model's score on datasets of other families ({conditions}), in % of the "
        "larger of both scores: mean over pairs of task and dataset, at the last checkpoint. MRC "
        "is the paper's ratio."
    ).format(conditions=conditions.of(names))
    heads = (
        "tuned on", "tested on", "method", "checkpoint", "change, %", "interval", "pairs", "MRC",
    )  # fmt: skip
    rows = []
    for row in last.iter_rows(named=True):
        ends = [row["bounded_ci_low"], row["bounded_ci_high"]]
        rows.append(
            [
                *(translate(kind) for kind in row["direction"].split(">")),
                arm_said(row, translate),
                row["checkpoint"],
                _percent(row["bounded"], "+"),
                "–" if None in ends else " – ".join(map(_percent, ends)),
                str(row["n_cells"]),
                translate("undefined, a base score is 0")
                if row["mrc"] is None
                else number(row["mrc"]),
            ]
        )
    return [intro, csv_table([interval_head(head, settings, translate) for head in heads], rows)]


def _percent(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.1f}".replace("-", "−")


def format_findings(formats: pl.DataFrame, translate: Translate) -> list[str]:
    """Mean spread over formats, for base and tuned models, at both ends of pre-training."""
    if formats.is_empty():
        return []
    spread = formats.unique(["index", "method", "train_task", "dataset", "shots"])
    tuned = spread.filter(pl.col("method").is_not_null())
    base = spread.filter(
        pl.col("method").is_null() & pl.col("dataset").is_in(tuned["dataset"].unique().to_list())
    )
    if tuned.is_empty() or base.is_empty():
        return []

    ends = [
        rows.filter(pl.col("index") == at)["spread"].mean()
        for rows in (base, tuned)
        for at in (formats["index"].min(), formats["index"].max())
    ]
    if None in ends:  # a study in progress may lack one of them
        return []
    base_first, base_last, tuned_first, tuned_last = map(number, ends)
    return [
        translate(
            "On the tasks' own test sets ({shots}) the best and the worst prompt format "
            "differ by {base_first} for the first base model and {base_last} for the last; "
            "for the tuned models ({seeds}) by {tuned_first} and {tuned_last}. These are "
            "observed differences: chance alone makes formats differ, too."
        ).format(
            shots=shots_said(tuned, translate),
            seeds=seeds_said(tuned["n_seeds"].min(), translate),
            base_first=base_first,
            base_last=base_last,
            tuned_first=tuned_first,
            tuned_last=tuned_last,
        )
    ]


VERDICTS = {
    "related": "the tasks' turning points and stops are related",
    "not shown": "no relation is shown",
    "too few tasks": "too few tasks to tell",
    "no spread": "all tasks stop, or turn, at the same checkpoint",
}


def prediction_findings(
    prediction: pl.DataFrame, settings: Settings, translate: Translate
) -> list[str]:
    """Whether the base models' turning point predicts the stop, one sentence per method."""
    sentences = []
    for row in prediction.iter_rows(named=True):
        text = translate(
            "Does the turning point of the base models' scores predict the stop ({arm}; tasks: "
            "{n})? {verdict}"
        ).format(
            arm=arm_said(row, translate),
            n=row["n_tasks"],
            verdict=translate(VERDICTS[row["verdict"]]),
        )
        if row["rho"] is not None:
            text += translate(
                " (rank correlation {rho}; by chance within {low} to {high} in {level} % of the "
                "orders; p {p})"
            ).format(
                rho=number(row["rho"]),
                low=number(row["null_low"]),
                high=number(row["null_high"]),
                level=f"{100 * settings.level:g}",
                p=number(row["p"]),
            )
        sentences.append(text + translate("."))
    return sentences


def stopping_rule(
    stopping: pl.DataFrame, conditions: Conditions, settings: Settings, translate: Translate
) -> str:
    """What counts as a stop; text above the table of stops."""
    return translate(
        "Checkpoint from which the tuned score ({conditions}) stays within {margin} of its "
        "last value: by the observed scores, and with {level} % confidence. This holds for "
        "these models; it does not cover variation between training runs."
    ).format(
        conditions=conditions.of(stopping["dataset"].unique()),
        margin=settings.stop_margin,
        level=f"{100 * settings.level:g}",
    )


def stopping_table(stopping: pl.DataFrame, translate: Translate) -> str:
    """Where pre-training could have stopped for each task's own test sets."""
    heads = (
        "tuned on", "dataset", "by the scores", "in % of resamples", "with confidence",
        "tokens saved (%)",
    )  # fmt: skip
    rows = []
    for row in stopping.iter_rows(named=True):
        support, share = row["stop_support"], row["safe_share_saved"]
        rows.append(
            [
                row["train_task"] + bracketed(arm_said(row, translate), translate),
                row["dataset"],
                row["stop_checkpoint"],
                "–" if support is None else f"{100 * support:.0f}",
                row["safe_checkpoint"] or "–",
                "–" if share is None else f"{100 * share:.0f}",
            ]
        )
    return csv_table([translate(head) for head in heads], rows)


def suspicious_findings(suspicious: pl.DataFrame, translate: Translate) -> list[str]:
    """One line per flag: how many scores, on which datasets."""
    lines = []
    for flag, meaning in FLAGS.items():
        rows = suspicious.filter(pl.col("flag") == flag)
        if rows.is_empty():
            continue
        lines.append(
            translate("{flag} ({n}), on {datasets}: {meaning}.").format(
                flag=f"**{translate(flag)}**",
                n=len(rows),
                datasets=listed(rows["dataset"].unique().sort().to_list()),
                meaning=translate(meaning),
            )
        )
    return lines
