"""Tables of the page: what stands in the rows of each kind of finding, and what warns of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from ptft import language
from ptft.analysis.findings import Finding
from ptft.report.rendering import arm_name, bar, decimal, interval_text, p_value, percent, points

label, dataset, task = language.label, language.dataset, language.task

Cell = str | dict[str, Any]
Column = tuple[str, Callable[[Finding], Cell]]


def _with_bar(
    finding: Finding, least: float = -1, most: float = 1, marks: Sequence[float | None] = ()
) -> Cell:
    """Value with its interval, as text and drawn."""
    value, low, high = finding.value, finding.low, finding.high
    if value is None:
        return "–"
    text = interval_text(value, low, high, least < 0)
    return {"text": text, "bar": bar(value, low, high, least, most, marks)}


def _score(finding: Finding) -> Cell:
    more = finding.more
    return _with_bar(finding, 0, 1, (more.get("chance"), more.get("majority")))


def _share(finding: Finding) -> Cell:
    return _with_bar(finding, 0, 1)


def _slope(finding: Finding) -> str:
    return interval_text(finding.value, finding.low, finding.high, True)


def _of(name: str, shape: Callable[..., str] = points) -> Callable[[Finding], str]:
    return lambda finding: shape(finding.more.get(name))


def _change(finding: Finding) -> str:
    """A change of loss, in bits per byte."""
    value, low, high = finding.value, finding.low, finding.high
    if low is None or high is None:
        return decimal(value, 3, True)
    ends = label("{low} to {high}").format(low=decimal(low), high=decimal(high))
    return decimal(value, 3, True) + label(" ({text})").format(text=ends)


def _tuned(finding: Finding) -> str:
    return task(finding.about["task"]) + label(" ({text})").format(text=arm_name(finding.about))


DATASET: Column = ("dataset", lambda f: dataset(f.about["dataset"]))
TASK: Column = ("tuned on", lambda f: task(f.about["task"]))
ARM: Column = ("method", lambda f: arm_name(f.about))
VERDICT: Column = ("verdict", lambda f: label(f.verdict or "–"))
P: Column = ("p", lambda f: p_value(f.p))
TREND: tuple[Column, ...] = (
    ("first", _of("first")),
    ("last", _of("last")),
    ("per checkpoint", _slope),
    P,
    VERDICT,
)
ROWS: dict[str, tuple[Column, ...]] = {
    "base_score": (
        DATASET, ("score", _score), ("chance", _of("chance")),
        ("constant answer", _of("majority")), VERDICT,
    ),
    "base_rise": (
        DATASET, ("first base", _of("first")), ("last base", _of("last")), ("rise", _with_bar),
        VERDICT,
    ),
    "gain": (
        TASK, DATASET, ARM, ("base", _of("base")), ("tuned", _of("tuned")), ("gain", _with_bar),
        VERDICT,
    ),
    "gain_trend": (
        ("group", lambda f: label(str(f.about["group"]).replace("_", " "))), ARM, *TREND,
    ),
    "curve": (
        TASK, DATASET, ARM, ("first tuned", _of("tuned_first")), ("last tuned", _of("tuned_last")),
        ("rise", _with_bar), VERDICT, ("first base", _of("base_first")),
        ("last base", _of("base_last")), ("base", lambda f: label(f.more["base_verdict"])),
        ("line through all", lambda f: label(f.more["slope_verdict"])), P,
    ),
    "direction": (
        ("tuned on", lambda f: label(f.about["direction"].split(">")[0])),
        ("tested on", lambda f: label(f.about["direction"].split(">")[1])),
        ARM, ("change, %", _with_bar), VERDICT,
        ("pairs", lambda f: f"{f.more['pairs']} / {f.more['n_cells']}"),
        ("MRC, %", lambda f: label("undefined, a base score is 0") if f.more["mrc"] is None
         else interval_text(f.more["mrc"], f.more["mrc_ci_low"], f.more["mrc_ci_high"], True)),
    ),
    "text": (
        DATASET,
        ("model", lambda f: _tuned(f) if "task" in f.about else label("base")),
        ("before", _of("before", decimal)), ("after", _of("after", decimal)),
        ("change, bits per byte", _change), ("same token (%)", _of("same", percent)),
    ),
    "remedy": (
        TASK, ARM, ("at a gain of", _of("gain")), ("kept, %", _of("kept")),
        ("more than full fine-tuning, %", _with_bar),
    ),
    "format_trend": (
        ("format", lambda f: f.about["format"]),
        ("models", lambda f: arm_name(f.about) if "method" in f.about else label("base")), *TREND,
    ),
    "training": (
        TASK, ARM, ("learned", lambda f: f"{f.count} / {f.of}"), ("share, %", _share),
        *(
            (f"{what}{given}", _of(f"{name}{key}"))
            for name, what in (("gain", "gain"), ("kept", "kept, %"), ("spared", "spared, %"))
            for given, key in (("", ""), (", if learned", "_if_learned"))
        ),
    ),
    "stop": (
        TASK, DATASET, ARM, ("by the scores", lambda f: f.more["stop_checkpoint"]),
        ("with confidence", lambda f: f.more["safe_checkpoint"] or "–"),
        ("tokens saved (%)", lambda f: percent(f.value)), VERDICT,
    ),
    "decline": (
        TASK, ARM, ("best at", lambda f: f.about["since"]), ("best", _of("best")),
        ("last", _of("last")),
        ("lower by", lambda f: points(f.value, f.low, f.value)), P, VERDICT,
    ),
    "noise": (
        DATASET, ("first", _of("first", lambda value: decimal(value, 2))),
        ("last", lambda f: decimal(f.value, 2)),
    ),
}  # fmt: skip
TITLES = {
    "base_score": "Scores of the base model",
    "base_rise": "Base scores from the first to the last checkpoint",
    "gain": "Own test sets at the last checkpoint",
    "training": "Trainings at the last checkpoint: all seeds, and those that learned",
    "gain_trend": "Mean gain along pre-training",
    "curve": "Tuned and base scores from the first to the last checkpoint",
    "direction": "Change on other families at the last checkpoint",
    "text": "Bits per byte, lower is better",
    "remedy": "What each method keeps at the gain that all reach",
    "format_trend": "Gap to the training format along pre-training",
    "stop": "Where pre-training could have stopped",
    "decline": "The last checkpoint against the best",
    "noise": "Change of the base score per unit of noise on the weights",
}
NUMBER = re.compile(r"[-+−–<.\d]")


def table_of(kind: str, found: Iterable[Finding], warnings: Warnings) -> dict[str, Any]:
    """Heads and rows of a kind of findings; columns that hold nothing are left out.

    A row with a score that has a warning tells it in its first cell.
    """
    found = list(found)
    rows = [[cell(finding) for _, cell in ROWS[kind]] for finding in found]
    columns = [
        (at, head)
        for at, (head, _) in enumerate(ROWS[kind])
        if any(row[at] not in ("–", "") for row in rows)
    ]
    return {
        "title": label(TITLES[kind]),
        "heads": [
            (label(head), all(isinstance(r[at], dict) or NUMBER.match(str(r[at])) for r in rows))
            for at, head in columns
        ],
        "rows": [[row[at] for at, _ in columns] for row in rows],
        "warnings": [warnings.of(finding) for finding in found],
    }


class Warnings:
    """Warnings of the scores that a finding is about.

    Args:
        suspicious: the table.
        arms: the table, if the study has one.
    """

    def __init__(self, suspicious: pl.DataFrame | None, arms: pl.DataFrame | None):
        flags = () if suspicious is None else suspicious.iter_rows(named=True)
        self._flags = [(row, row["flag"]) for row in flags]
        if arms is not None:
            failed = arms.filter(~pl.col("learned")).iter_rows(named=True)
            self._flags += [(row, FAILED) for row in failed]

    def of(self, finding: Finding) -> list[str]:
        """Flags of its scores, each once: of its dataset, task, method, format and checkpoint.

        Of its task's base model, too. A finding along pre-training has those of any checkpoint.
        """
        about = {**finding.about, "train_task": finding.about.get("task")}
        return list(dict.fromkeys(flag for row, flag in self._flags if _is_of(row, about)))


FAILED = "not every seed learned"


def _is_of(row: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
    """Whether a score or a training is among those that a finding is about."""
    if (row["train_task"] and not about["train_task"]) or ("dataset" in row) > ("dataset" in about):
        return False
    # A further link of a chain says nothing of models that were tuned from the checkpoint alone.
    if row.get("after") and about.get("setting") not in ("then", row["setting"]):
        return False
    keys = ("checkpoint", "method", "train_task", "dataset", "format")
    return all(row.get(key) is None or about.get(key) in (None, row[key]) for key in keys)
