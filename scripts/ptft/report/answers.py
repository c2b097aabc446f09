"""The answers that head the report: one line per question with number, interval and verdict."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ptft.analysis.settings import Settings
from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.learning import hidden_labels
from ptft.language.words import Words
from ptft.report.conditions import arm_said
from ptft.report.remedy_findings import method_said, others_at_last
from ptft.report.rst import change, plain, would_be_seen

Tables = Mapping[str, pl.DataFrame]


def answers(tables: Tables, settings: Settings, words: Words) -> list[str]:
    """At most eight lines of reStructuredText, one per question that the study can answer."""
    lines = [
        _taught(tables, settings, words),
        _added(tables, settings, words),
        _latent(tables, settings, words),
        _forgotten(tables, settings, words),
        _spared(tables, settings, words),
        _formats(tables, settings, words),
        _stopping(tables, words),
        _doubts(tables, words),
    ]
    return [line for line in lines if line]


def _line(question: str, answer: str) -> str:
    return f"**{question}** {answer}"


def _taught(tables: Tables, settings: Settings, words: Words) -> str:
    hidden = hidden_labels(tables["suspicious"])
    groups = tables["groups"].filter(~pl.col("dataset").is_in(hidden))
    if groups.is_empty():
        return ""
    learned = groups.filter(pl.col("group") == "learned").sort("rise", descending=True)
    answer = words("{k} of {n} datasets.").format(k=len(learned), n=len(groups))
    if len(learned):
        most = learned.row(0, named=True)
        answer += " " + words("Most: {dataset}, {rise}.").format(
            dataset=plain(words.dataset(most["dataset"])),
            rise=change(most["rise"], most["ci_low"], most["ci_high"], words, settings.level),
        )
    return _line(words("Learned in pre-training alone?"), answer)


def _added(tables: Tables, settings: Settings, words: Words) -> str:
    own = tables["group_gains"].filter(pl.col("tuned_for") == "own task")
    parts = []
    names = {"not_learned": words("not learned"), "learned": words("learned")}
    for group, name in names.items():
        rows = own.filter(pl.col("group") == group).sort("index", "method")
        if len(rows):
            row = rows.filter(pl.col("index") == rows["index"].max()).row(0, named=True)
            gain = change(row["gain"], row["ci_low"], row["ci_high"], words, settings.level)
            parts.append(
                words("{gain} on own test sets that pre-training has {group} ({arm})").format(
                    gain=gain, group=name, arm=arm_said(row, words)
                )
            )
    if not parts:
        return ""
    return _line(words("What does fine-tuning add?"), words("; ").join(parts) + words("."))


def _latent(tables: Tables, settings: Settings, words: Words) -> str:
    own = tables["latent"].filter(pl.col("domain") == "in")
    if own.is_empty():
        return ""
    found = own.filter("latent").sort("tuned_rise", descending=True)
    answer = words("On {k} of {n} own test sets only the tuned score rises.").format(
        k=len(found), n=len(own)
    )
    if len(found):
        most = found.row(0, named=True)
        low, high = most["tuned_rise_ci_low"], most["tuned_rise_ci_high"]
        answer += " " + words("Most: {dataset}, {rise}.").format(
            dataset=plain(words.dataset(most["dataset"])),
            rise=change(most["tuned_rise"], low, high, words, settings.level),
        )
    return _line(words("Is it there before it shows?"), answer)


def _forgotten(tables: Tables, settings: Settings, words: Words) -> str:
    mean = tables["forgetting"].filter(pl.col("train_task") == ALL_TASKS)
    mean = mean.filter(pl.col("index") == pl.col("index").max()).sort("bounded", "direction")
    if mean.is_empty():
        return ""
    most = mean.row(0, named=True)
    start, end = most["direction"].split(">")
    low, high = most["bounded_ci_low"], most["bounded_ci_high"]
    if low is not None and high >= 0:
        answer = words("No loss on other families is shown at the last checkpoint.")
        answer += would_be_seen(mean["bounded_detectable"], words)
    else:
        answer = words("{start}, the last models change {end} by a share of {share}.").format(
            start=words("tuned on " + start).capitalize(),
            end=words("on " + end),
            share=change(most["bounded"], low, high, words, settings.level),
        )
    return _line(words("What is forgotten?"), answer)


def _spared(tables: Tables, settings: Settings, words: Words) -> str:
    rows = others_at_last(tables["equal_gain"]).filter(pl.col("spared").is_not_null())
    if rows.is_empty():
        return ""
    sure = rows.filter(pl.col("spared_ci_low") > 0).sort("spared", descending=True)
    if sure.is_empty():
        answer = words("No method keeps significantly more than full fine-tuning at the same gain.")
        answer += would_be_seen(rows["spared_detectable"], words)
    else:
        most = sure.row(0, named=True)
        low, high = most["spared_ci_low"], most["spared_ci_high"]
        answer = words(
            "At the same gain on {task}, {method} keeps {spared} more of other families than full "
            "fine-tuning."
        ).format(
            task=plain(words.task(most["train_task"])),
            method=method_said(most),
            spared=change(most["spared"], low, high, words, settings.level),
        )
    return _line(words("Which remedy spares most forgetting?"), answer)


def _formats(tables: Tables, settings: Settings, words: Words) -> str:
    tuned = tables["formats"].filter(pl.col("method").is_not_null())
    last = tuned.filter(pl.col("index") == pl.col("index").max())
    if last.is_empty():
        return ""
    sure = last.filter(pl.col("gap_ci_high") < 0).sort("gap", "dataset", "format")
    if sure.is_empty():
        answer = words("No loss from another prompt format is shown.")
        answer += would_be_seen(
            last.filter(pl.col("format") != settings.format)["gap_detectable"], words
        )
    else:
        most = sure.row(0, named=True)
        low, high = most["gap_ci_low"], most["gap_ci_high"]
        answer = words(
            "Another prompt format costs up to {gap} ({dataset}, format {format})."
        ).format(
            gap=change(most["gap"], low, high, words, settings.level),
            dataset=plain(words.dataset(most["dataset"])),
            format=plain(most["format"]),
        )
    return _line(words("Do prompt formats matter?"), answer)


def _stopping(tables: Tables, words: Words) -> str:
    judged = tables["stopping"].filter(~pl.col("too_low"), pl.col("safe_index").is_not_null())
    if judged.is_empty():
        return ""
    early = judged.filter(pl.col("safe_checkpoint") != pl.col("last_checkpoint"))
    answer = words("Earlier, with confidence, for {k} of {n} own test sets.").format(
        k=len(early), n=len(judged)
    )
    saved = early["safe_share_saved"].max()
    if saved is not None:
        answer += " " + words("At most {share} % of the tokens could be saved.").format(
            share=f"{100 * saved:.0f}"
        )
    return _line(words("When could pre-training have stopped?"), answer)


def _doubts(tables: Tables, words: Words) -> str:
    suspicious = tables["suspicious"]
    cells = suspicious.select("checkpoint", "method", "train_task", "dataset", "format", "shots")
    answer = words("{n} scores are flagged.").format(n=cells.n_unique() if len(cells) else 0)
    hidden = hidden_labels(suspicious)
    if hidden:
        answer += " " + words("Labels seem to be hidden: {datasets}.").format(
            datasets=words(", ").join(plain(words.dataset(name)) for name in hidden)
        )
    return _line(words("What can't be trusted?"), answer)
