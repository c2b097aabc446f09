"""Findings on remedies against forgetting, and on pre-training for too long."""

from __future__ import annotations

import polars as pl

from ptft.analysis.settings import Settings
from ptft.analysis.tables.remedies import TARGETS, is_reference
from ptft.language.words import Words
from ptft.report.conditions import seeds_said, setting_said
from ptft.report.rst import change, csv_table, number, p_value, plain, would_be_seen

OVERTRAINED = {
    "tuned score": "the score of the tuned model on the task's own test sets",
    "kept": "what the tuned model keeps of other families",
}


def others_at_last(equal_gain: pl.DataFrame) -> pl.DataFrame:
    """Methods except full fine-tuning, at equal gain, at each task's last checkpoint."""
    rows = equal_gain.filter(pl.col("target") == TARGETS[0], ~is_reference())
    return rows.filter(pl.col("index") == pl.col("index").max().over("train_task"))


def method_said(row: dict) -> str:
    """Method, swept setting and derivation, in words."""
    return plain(", ".join(filter(None, (row["method"], row["swept"], row["derived"]))))


def remedy_findings(
    equal_gain: pl.DataFrame, trends: pl.DataFrame, settings: Settings, words: Words
) -> list[str]:
    """Each task's method that spares most, methods that gain too little, and trends."""
    sentences = []
    for _, rows in others_at_last(equal_gain).group_by("train_task", maintain_order=True):
        reached = rows.filter(pl.col("spared").is_not_null()).sort("spared", descending=True)
        if len(reached):
            sentences.append(_best(reached.row(0, named=True), settings, words))
    share = equal_gain.filter(pl.col("target") == TARGETS[1])
    share = share.filter(pl.col("index") == pl.col("index").max().over("train_task"))
    for row in share.filter(~pl.col("reached")).iter_rows(named=True):
        sentences.append(
            words(
                "{method} never gains {share} % of what full fine-tuning gains on {task}."
            ).format(
                method=method_said(row),
                share=f"{100 * settings.gain_share:g}",
                task=plain(words.task(row["train_task"])),
            )
        )
    known = trends.filter(pl.col("target") == TARGETS[0], pl.col("p_adjusted").is_not_null())
    if len(known):
        sentences.append(_trends(known, settings, words))
    return sentences


def _best(row: dict, settings: Settings, words: Words) -> str:
    found = [row[f"spared{part}"] for part in ("", "_ci_low", "_ci_high")]
    return words(
        "On {task} at {checkpoint}, at a gain of {gain}, {method} keeps most on other "
        "families: {spared} more of their scores than full fine-tuning ({seeds})."
    ).format(
        task=plain(words.task(row["train_task"])),
        checkpoint=row["checkpoint"],
        gain=number(row["enough"]),
        method=method_said(row),
        spared=change(*found, words, settings.level),
        seeds=seeds_said(row["n_seeds"], words),
    )


def _trends(known: pl.DataFrame, settings: Settings, words: Words) -> str:
    """Methods whose spared score changes along pre-training."""
    clear = known.filter(pl.col("p_adjusted") <= 1 - settings.level)
    if clear.is_empty():
        return words(
            "It is not shown that remedies spare more or less after more pre-training ({n} "
            "methods and tasks, smallest adjusted p {p})."
        ).format(n=len(known), p=p_value(known["p_adjusted"].min())) + would_be_seen(
            known["slope_detectable"], words
        )
    return words("What remedies spare changes along pre-training: {names}.").format(
        names=words("; ").join(
            words("{method} on {task} by {slope} a checkpoint (adjusted p {p})").format(
                method=method_said(row),
                task=plain(words.task(row["train_task"])),
                slope=number(row["slope"]),
                p=p_value(row["p_adjusted"]),
            )
            for row in clear.iter_rows(named=True)
        )
    )


def remedy_table(equal_gain: pl.DataFrame, words: Words) -> str:
    """What each method keeps at equal gain, at the last checkpoint."""
    heads = ("tuned on", "method", "at a gain of", "kept", "more than full fine-tuning")
    rows = [
        [
            words.task(row["train_task"]),
            method_said(row),
            number(row["enough"]),
            "–" if row["kept"] is None else number(row["kept"]),
            _interval(row, "spared", "spared_"),
        ]
        for row in others_at_last(equal_gain).iter_rows(named=True)
    ]
    return csv_table([words(head) for head in heads], rows)


def _interval(row: dict, name: str, prefix: str = "") -> str:
    if row[name] is None:
        return "–"
    low, high = row[f"{prefix}ci_low"], row[f"{prefix}ci_high"]
    told = "" if low is None else f" ({number(low)} – {number(high)})"
    return number(row[name]) + told


def overtraining_findings(
    overtraining: pl.DataFrame, noise: pl.DataFrame, settings: Settings, words: Words
) -> list[str]:
    """Whether the last checkpoint is worse to tune than the best, and what noise costs."""
    sentences = []
    known = overtraining.filter(pl.col("p_adjusted").is_not_null())
    for measure, name in OVERTRAINED.items():
        rows = known.filter(pl.col("measure") == measure)
        if rows.is_empty():
            continue
        worse = rows.filter(pl.col("p_adjusted") <= 1 - settings.level)
        text = words("For {k} of {n} curves {measure} is lower at the last checkpoint").format(
            k=len(worse), n=len(rows), measure=words(name)
        )
        if len(worse):
            text += words(": {names}").format(
                names=words("; ").join(_decline(row, words) for row in worse.iter_rows(named=True))
            )
        text += words(".")
        if worse.is_empty():
            text += would_be_seen(rows["drop_detectable"], words)
        sentences.append(text)
    if sentences:
        sentences.append(
            words("This is corrected for selecting the best checkpoint.")
            + " "
            + _confounded(known, words)
        )
    ends = noise.filter(pl.col("index").is_in([noise["index"].min(), noise["index"].max()]))
    if ends["index"].n_unique() > 1:
        sentences.append(_noise(ends.sort("dataset", "index"), words))
    return sentences


def _confounded(rows: pl.DataFrame, words: Words) -> str:
    """What else differs between the best and the last checkpoint: the pre-training rate."""
    ends = [
        rows.select(checkpoint=f"{end}_checkpoint", lr=f"{end}_pretraining_lr")
        for end in ("best", "last")
    ]
    rates = pl.concat(ends).unique().drop_nulls().sort("lr", "checkpoint", descending=True)
    if rates["lr"].n_unique() == 1:
        return words(
            "Pre-training had the same learning rate, {lr}, at the checkpoints compared."
        ).format(lr=f"{rates['lr'][0]:.1e}")
    if rates.is_empty():
        return words(
            "Checkpoints also differ in their pre-training learning rate, which is not known here."
        )
    return words(
        "Checkpoints also differ in their pre-training learning rate ({rates}): its effect "
        "cannot be separated from that of more pre-training."
    ).format(
        rates=", ".join(
            f"{row['checkpoint']} {row['lr']:.1e}" for row in rates.iter_rows(named=True)
        )
    )


def _decline(row: dict, words: Words) -> str:
    setting = setting_said(row["setting"], words)
    arm = words(", ").join(
        filter(None, (row["method"], setting, seeds_said(row["n_seeds"], words)))
    )
    return words("{task} ({arm}) by {drop} since {best} (adjusted p {p})").format(
        task=plain(words.task(row["train_task"])),
        arm=plain(arm),
        drop=number(row["drop"]),
        best=row["best_checkpoint"],
        p=p_value(row["p_adjusted"]),
    )


def _noise(ends: pl.DataFrame, words: Words) -> str:
    parts = []
    for (dataset,), rows in ends.group_by("dataset", maintain_order=True):
        if len(rows) > 1:
            first, last = rows.row(0, named=True), rows.row(-1, named=True)
            parts.append(
                words("{dataset} from {first} to {last}").format(
                    dataset=plain(words.dataset(dataset)),
                    first=_interval(first, "sensitivity"),
                    last=_interval(last, "sensitivity"),
                )
            )
    return words(
        "Change of the base model's score per unit of noise on its weights, at the first and the "
        "last checkpoint: {parts}."
    ).format(parts=words("; ").join(parts))
