"""Findings: what a study's tables show, as typed records that pages say and figures can draw.

A record holds numbers and names, no words: ``kind`` names the sentence that says it
(``ptft/report/templates``). Here are the questions on scores over pre-training and on
stopping; ``findings_of_changes`` has those on what fine-tuning changes elsewhere, and
``findings_of_study`` what concerns the study itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from ptft.analysis.scores import at_last
from ptft.analysis.settings import Settings
from ptft.analysis.tables.learning import hidden_labels

Row = Mapping[str, Any]
Tables = Mapping[str, pl.DataFrame]
Curve = tuple[tuple[str, float | None], ...]
INTERVAL = ("ci_low", "ci_high")


@dataclass(frozen=True)
class Condition:
    """Under which prompts a finding holds.

    Attributes:
        formats: prompt formats.
        shots: (shots asked for, share of prompts that were cut to fewer).
    """

    formats: tuple[str, ...]
    shots: tuple[tuple[int, float | None], ...]

    @classmethod
    def of(cls, scores: pl.DataFrame | None, datasets: Iterable[str] | None = None) -> Condition:
        """That of these datasets' scores: rows with format, shots and truncated."""
        if scores is None or scores.is_empty():
            return cls((), ())
        rows = scores
        if datasets is not None:
            rows = rows.filter(pl.col("dataset").is_in(list(datasets)))
        found = rows.group_by("shots").agg(pl.col("truncated").mean()).sort("shots")
        formats = rows["format"].unique().sort().to_list() if "format" in rows.columns else []
        return cls(tuple(formats), tuple(found.rows()))


@dataclass(frozen=True)
class Finding:
    """One thing that the tables show.

    Attributes:
        question: that it answers; the section of the page.
        kind: what it says; the name of its sentence.
        value: the number, in the scale of its table (scores from 0 to 1).
        low, high: its interval; None where no error is known.
        p: its p-value, adjusted where several are tested.
        detectable: the smallest true value that would have been found with a power of 80 %.
        verdict: `rises`, `falls`, `flat`, `undecided`; others say what they mean.
        count, of: how many, of how many.
        about: objects of the study: `dataset`, `task`, `checkpoint`, `method`, `setting`,
            `format`, `direction`, `seeds`, …
        names: datasets that it names.
        condition: prompts under which it holds.
        curve: (checkpoint, value) along pre-training, to be drawn small.
        more: other numbers that its sentence says.
    """

    question: str
    kind: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None
    verdict: str | None = None
    count: int | None = None
    of: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    condition: Condition | None = None
    curve: Curve = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sure(self) -> bool:
        """Whether the interval is known and excludes zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


ABOUT = (
    *("checkpoint", "method", "setting", "derived", "task", "dataset", "format", "direction"),
    *("group", "seeds"),
)
"""objects of a finding that have columns in its table"""


def findings_table(findings: Sequence[Finding], sentences: Sequence[str | None]) -> pl.DataFrame:
    """Every finding of a study's page, one row each.

    question, kind, the objects that it is about (null where it is about several or none), value
    with ci_low and ci_high, p (adjusted where several are tested), detectable (the smallest true
    value found with a power of 80 %), count and of, verdict, formats and shots (the condition),
    datasets that it names, and the sentence that says it (null for rows of the page's tables).
    """
    rows = []
    for found, sentence in zip(findings, sentences, strict=True):
        under = found.condition
        about = {name: found.about.get(name) for name in ABOUT}
        rows.append(
            {name: getattr(found, name, None) for name in SCHEMA}
            | {name: None if each is None else str(each) for name, each in about.items()}
            | {"ci_low": found.low, "ci_high": found.high, "sentence": sentence}
            | {
                "formats": " ".join(under.formats) if under else None,
                "shots": " ".join(str(s) for s, _ in under.shots) if under else None,
                "datasets": " ".join(found.names) or None,
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


SCHEMA = {
    **dict.fromkeys(["question", "kind", *ABOUT], pl.String),
    **dict.fromkeys(["value", *INTERVAL, "p", "detectable"], pl.Float64),
    **dict.fromkeys(["count", "of"], pl.Int64),
    **dict.fromkeys(["verdict", "formats", "shots", "datasets", "sentence"], pl.String),
}


def rows_of(tables: Tables, name: str, *tests: pl.Expr) -> pl.DataFrame | None:
    """Rows of a table that pass; None where the table is missing or no row does."""
    table = tables.get(name)
    if table is None or table.is_empty():
        return None
    found = table.filter(*tests)
    return None if found.is_empty() else found


def first_of(rows: pl.DataFrame) -> Row | None:
    """The first row; None where there is none."""
    return rows.row(0, named=True) if len(rows) else None


CURVE = ("method", "train_task", "dataset")


def same_curve(
    table: pl.DataFrame | None, row: Row | None, keys: Sequence[str]
) -> pl.DataFrame | None:
    """Rows of a table that are equal to ``row`` in these columns; None without table or row."""
    if table is None or row is None:
        return None
    return table.filter(pl.col(key).eq_missing(pl.lit(row[key])) for key in keys)


def arm_of(row: Row | None) -> dict[str, Any]:
    """A row's models, as ``Finding.about`` names them."""
    if row is None:
        return {}
    names = {
        "checkpoint": "checkpoint", "method": "method", "setting": "setting", "derived": "derived",
        "strength": "strength", "task": "train_task", "dataset": "dataset", "format": "format",
        "direction": "direction", "seeds": "n_seeds",
    }  # fmt: skip
    return {key: row[name] for key, name in names.items() if row.get(name) is not None}


def interval(row: Row | None, name: str, prefix: str = "") -> dict[str, Any]:
    """Value and interval of a column, whose limits begin with ``prefix``; empty without a row."""
    if row is None:
        return {}
    low, high = (row.get(f"{prefix}{end}") for end in INTERVAL)
    return {"value": row[name], "low": low, "high": high}


def of_row(
    question: str,
    kind: str,
    row: Row,
    name: str,
    prefix: str = "",
    says: Sequence[str] = (),
    **given: Any,
) -> Finding:
    """Finding of column ``name`` of a row, with limits and what could have been detected.

    Args:
        prefix: of the columns of limits and of `detectable`.
        says: columns that the sentence says, too; they join ``more``.
        given: attributes of the finding that the row does not have in that form.
    """
    known = {"detectable": row.get(f"{prefix}detectable"), "about": arm_of(row)}
    more = {column: row[column] for column in says} | given.pop("more", {})
    return Finding(question, kind, **(interval(row, name, prefix) | known | given), more=more)


def curve(rows: pl.DataFrame | None, value: str) -> Curve:
    """Values along pre-training."""
    if rows is None:
        return ()
    return tuple(rows.sort("index").select("checkpoint", value).iter_rows())


def verdict_of(low: float | None, high: float | None, margin: float) -> str:
    """`rises` or `falls` by more than the margin, `flat` within it, with confidence; else
    `undecided`.

    `flat` is an equivalence test (two one-sided tests): the whole interval is within the margin.
    """
    if low is None or high is None:
        return "undecided"
    if -margin < low and high < margin:
        return "flat"
    if low > 0:
        return "rises"
    return "falls" if high < 0 else "undecided"


def trend_verdict(slope: float | None, p: float | None, settings: Settings) -> str:
    """Of a line through all checkpoints: `rises`, `falls`, `undecided`; `two points` have none."""
    if p is None or slope is None:
        return "two points"
    if p > 1 - settings.level:
        return "undecided"
    return "rises" if slope > 0 else "falls"


def smallest(detectable: pl.Series) -> float | None:
    """The median of what single comparisons could show; None where nothing is known."""
    known = detectable.drop_nulls()
    return None if known.is_empty() else as_number(known.median())


def as_number(value: object) -> float | None:
    """A result of polars as a number."""
    return float(value) if isinstance(value, int | float) else None


def findings_on_scores(tables: Tables, settings: Settings) -> list[Finding]:
    """Answers of all questions on scores, in the order of the page."""
    hidden = hidden_labels(tables["suspicious"]) if "suspicious" in tables else []
    return [
        *taught(tables, settings, hidden),
        *added(tables, settings, hidden),
        *latent(tables, settings, hidden),
        *stopping(tables, settings),
    ]


def taught(tables: Tables, settings: Settings, hidden: Sequence[str]) -> Iterator[Finding]:
    """Findings on what pre-training teaches alone; of a single checkpoint, what its model knows."""
    base = rows_of(tables, "base_scores", ~pl.col("dataset").is_in(hidden))
    groups = rows_of(tables, "groups", ~pl.col("dataset").is_in(hidden))
    if base is None:
        return
    scores = list(_base_scores(at_last(base, "dataset")))
    condition = Condition.of(tables["base_scores"], base["dataset"])
    if groups is None:
        above = [score for score in scores if score.verdict == "above guessing"]
        best = max(above, key=lambda score: score.value or 0, default=None)
        yield replace(
            best or Finding("taught", "known"),
            kind="known",
            count=len(above),
            of=sum(score.verdict != "no chance level" for score in scores),
            condition=condition,
        )
        yield from scores
        return
    yield from _learned(base, groups, condition, settings)
    yield from (
        replace(
            score,
            kind="base_rise",
            verdict=_rise_verdict(row, settings),
            p=row["slope_p_adjusted"],
            **interval(row, "rise"),
            more={
                **score.more,
                **{name: row[name] for name in ("first", "last")},
                "score": score.value,
                "score_low": score.low,
                "score_high": score.high,
            },
        )
        for row in groups.sort("group", "dataset").iter_rows(named=True)
        for score in scores
        if score.about["dataset"] == row["dataset"]
    )


def _learned(
    base: pl.DataFrame, groups: pl.DataFrame, condition: Condition, settings: Settings
) -> Iterator[Finding]:
    """Datasets whose base score rises by learning, the most first; of which no line shows it."""
    learned = groups.filter(pl.col("group") == "learned").sort("rise", descending=True)
    most = first_of(learned)
    verdicts = [_rise_verdict(row, settings) for row in groups.iter_rows(named=True)]
    yield Finding(
        "taught",
        "taught",
        **interval(most, "rise"),
        count=len(learned),
        of=len(groups),
        about={"dataset": most["dataset"]} if most else {},
        names=tuple(learned["dataset"]),
        condition=condition,
        curve=curve(same_curve(base, most, ["dataset"]), "value"),
        more={
            "margin": settings.rise_margin,
            "flat": verdicts.count("flat"),
            "undecided": verdicts.count("undecided"),
        },
    )
    unsure = learned.filter(
        pl.col("slope_p_adjusted").is_null() | (pl.col("slope_p_adjusted") > 1 - settings.level)
    )
    if len(unsure):
        yield Finding("taught", "no_line", names=tuple(unsure["dataset"].unique().sort()))


def _rise_verdict(row: Row, settings: Settings) -> str:
    return _learning(row["group"] == "learned", (row["ci_low"], row["ci_high"]), settings)


def _learning(learned: bool, ends: tuple[float | None, float | None], settings: Settings) -> str:
    """`rises` is learning by the rule of table `groups`, which excludes guessing."""
    if learned:
        return "rises"
    found = verdict_of(*ends, settings.rise_margin)
    return "undecided" if found == "rises" else found


def _base_scores(last: pl.DataFrame) -> Iterator[Finding]:
    """Scores of the last base model beside chance and what a constant answer earns."""
    for row in last.sort("family", "dataset").iter_rows(named=True):
        guess = max(filter(None, (row["chance"], row["majority"])), default=None)
        low, high = row["ci_low"], row["ci_high"]
        verdict = "undecided"
        if guess is None:
            verdict = "no chance level"
        elif low is not None and low > guess:
            verdict = "above guessing"
        elif row["chance"] and high is not None and high < row["chance"]:
            verdict = "below chance"
        yield of_row(
            "taught",
            "base_score",
            row,
            "value",
            says=("chance", "majority", "n"),
            verdict=verdict,
            about=arm_of(row) | {"metric": row["metric"]},
        )


def added(tables: Tables, settings: Settings, hidden: Sequence[str]) -> Iterator[Finding]:
    """Findings on gains on the tasks' own test sets, and whether they grow."""
    own = rows_of(tables, "gains", pl.col("domain") == "in", ~pl.col("dataset").is_in(hidden))
    if own is None:
        return
    last = at_last(own, "dataset", "train_task", "method").sort("method", "train_task", "dataset")
    gained = last.filter(pl.col("ci_low") > 0)
    condition = Condition.of(tables.get("base_scores"), last["dataset"])
    headline = Finding("added", "added", count=len(gained), of=len(last), condition=condition)
    headline = replace(headline, detectable=smallest(last["detectable"]))
    groups = rows_of(tables, "group_gains")
    means = [] if groups is None else list(_group_gains(groups, condition))
    if means:
        first = means[0]
        headline = replace(
            first, kind="added", count=headline.count, of=headline.of,
            detectable=first.detectable or headline.detectable,
        )  # fmt: skip
    elif most := first_of(gained.sort("gain", descending=True)):
        line = curve(same_curve(own, most, CURVE), "gain")
        headline = replace(headline, **interval(most, "gain"), about=arm_of(most), curve=line)
    yield headline
    yield from means[1:]
    yield from _gain_trends(tables, condition, settings)
    yield from of_samples(tables, "added", "gain", settings)
    for row in last.iter_rows(named=True):
        yield of_row(
            "added",
            "gain",
            row,
            "gain",
            says=("base", "tuned", "chance", "n"),
            verdict=verdict_of(row["ci_low"], row["ci_high"], 0),
            about=arm_of(row) | {"metric": row["metric"]},
        )


def _group_gains(groups: pl.DataFrame, condition: Condition) -> Iterator[Finding]:
    """Mean gain at the last checkpoint of datasets that pre-training has taught, or not."""
    for group in ("not_learned", "learned"):
        rows = groups.filter(group=group).sort("index", "method")
        if rows.is_empty():
            continue
        row = at_last(rows).row(0, named=True)
        line = rows.filter(pl.col("method").eq_missing(pl.lit(row["method"])))
        yield of_row(
            "added",
            "group_gain",
            row,
            "gain",
            about=arm_of(row) | {"group": group},
            names=tuple(row["datasets"].split()),
            condition=condition,
            curve=curve(line, "gain"),
        )


def _gain_trends(tables: Tables, condition: Condition, settings: Settings) -> Iterator[Finding]:
    trends = rows_of(tables, "gain_trends")
    if trends is None:
        return
    for row in trends.sort("method", "group").iter_rows(named=True):
        found = trend_of("added", "gain_trend", row, "slope_p", condition, settings)
        if row["group"] == "not_learned":
            yield claim_of(found, "gain_claim")
        yield found


def of_samples(
    tables: Tables, question: str, quantity: str, settings: Settings
) -> Iterator[Finding]:
    """The mean at the last checkpoint where formats or datasets are a sample of others."""
    rows = rows_of(tables, "random_effects", pl.col("quantity") == quantity)
    for row in () if rows is None else at_last(rows, "method").iter_rows(named=True):
        random = {
            name: row[f"n_{name}"] if getattr(settings, name) == "random" else None
            for name in ("formats", "datasets")
        }
        fixed = ("fixed_ci_low", "fixed_ci_high")
        yield of_row(question, f"sampled_{quantity}", row, "value", says=fixed, more=random)


def claim_of(trend: Finding, kind: str) -> Finding:
    """The paper's claim that a line rises: `holds`, or `not shown`."""
    return replace(trend, kind=kind, verdict="holds" if trend.verdict == "rises" else "not shown")


def trend_of(
    question: str, kind: str, row: Row, p: str, condition: Condition | None, settings: Settings
) -> Finding:
    """The slope of a line through all checkpoints; its ends are first and last."""
    ends = {end: row.get(f"gain_{end}", row.get(f"gap_{end}")) for end in ("first", "last")}
    return of_row(
        question,
        kind,
        row,
        "slope",
        "slope_",
        says=("n_checkpoints",),
        p=row[p],
        verdict=trend_verdict(row["slope"], row[p], settings),
        about=arm_of(row) | ({"group": row["group"]} if "group" in row else {}),
        condition=condition,
        more=ends,
    )


def latent(tables: Tables, settings: Settings, hidden: Sequence[str]) -> Iterator[Finding]:
    """Where tuned scores rise along pre-training while base scores do not."""
    curves = rows_of(tables, "latent", ~pl.col("dataset").is_in(hidden))
    if curves is None:
        return
    own = curves.filter(pl.col("domain") == "in").sort("method", "train_task", "dataset")
    if len(own):
        yield from _learned_latently(own, tables, settings)
    for row in curves.sort("domain", "method", "train_task", "dataset").iter_rows(named=True):
        slope = row["tuned_slope"], row["tuned_slope_p_adjusted"]
        base = {f"base_{end}": row[f"base_rise_{end}"] for end in INTERVAL}
        yield of_row(
            "latent",
            "curve",
            row,
            "tuned_rise",
            "tuned_rise_",
            says=(
                *("base_first", "base_last", "base_rise", "tuned_first", "tuned_last"),
                *("tuned_guess", "n_checkpoints"),
            ),
            p=slope[1],
            detectable=row["tuned_slope_detectable"],
            verdict=_tuned_verdict(row, settings),
            about=arm_of(row) | {"domain": row["domain"]},
            more=base
            | {"base_verdict": _base_verdict(row, settings)}
            | {"slope": slope[0], "slope_verdict": trend_verdict(*slope, settings)},
        )


def _learned_latently(own: pl.DataFrame, tables: Tables, settings: Settings) -> Iterator[Finding]:
    """Own test sets whose tuned score rises alone, the most first; of which no line shows it."""
    found = own.filter("latent").sort("tuned_rise", descending=True)
    most = first_of(found)
    yield Finding(
        "latent",
        "latent",
        **interval(most, "tuned_rise", "tuned_rise_"),
        count=len(found),
        of=len(own),
        about=arm_of(most),
        names=tuple(found["dataset"].unique(maintain_order=True)),
        condition=Condition.of(tables.get("base_scores"), own["dataset"].unique()),
        curve=curve(same_curve(tables.get("gains"), most, CURVE), "tuned"),
        more={
            "margin": settings.rise_margin,
            # The tuned score rises more, but whether the base's is flat is not known.
            "undecided": int(own["more"].sum()) if "more" in own.columns else 0,
        },
    )
    unsure = found.filter(
        pl.col("tuned_slope_p_adjusted").is_null()
        | (pl.col("tuned_slope_p_adjusted") > 1 - settings.level)
    )
    if len(unsure):
        yield Finding("latent", "no_line", names=tuple(unsure["dataset"].unique().sort()))


def _base_verdict(row: Row, settings: Settings) -> str:
    ends = (row["base_rise_ci_low"], row["base_rise_ci_high"])
    return _learning(row["base_learned"], ends, settings)


def _tuned_verdict(row: Row, settings: Settings) -> str:
    """Of the tuned curve: where guessing explains a rise, that is said instead."""
    ends = (row["tuned_rise_ci_low"], row["tuned_rise_ci_high"])
    found = _learning(row["tuned_learned"], ends, settings)
    if verdict_of(*ends, settings.rise_margin) != "rises" or found == "rises":
        return found
    if row["tuned_guessing"]:
        return "guessing"
    return "starts below chance" if row["tuned_starts_below_chance"] else "undecided"


def stopping(tables: Tables, settings: Settings) -> Iterator[Finding]:
    """When pre-training could have stopped for the tasks' own test sets."""
    rows = rows_of(tables, "stopping")
    if rows is None:
        return
    judged = rows.filter(~pl.col("too_low"), pl.col("safe_index").is_not_null())
    own = rows_of(tables, "gains", pl.col("domain") == "in")
    last = None if own is None else at_last(own)
    condition = Condition.of(tables.get("base_scores"), rows["dataset"].unique())
    if len(judged):
        early = judged.filter(pl.col("safe_checkpoint") != pl.col("last_checkpoint"))
        yield Finding(
            "stopping",
            "stopping",
            value=as_number(early["safe_share_saved"].max()),
            detectable=None if last is None else smallest(last["detectable"]),
            count=len(early),
            of=len(judged),
            names=tuple(early.sort("safe_index")["dataset"].unique(maintain_order=True)),
            condition=condition,
            more={
                "margin": settings.stop_margin,
                "n": None if last is None else last["n"].min(),
                "by_scores": len(
                    judged.filter(pl.col("stop_checkpoint") != pl.col("last_checkpoint"))
                ),
            },
        )
    for row in rows.iter_rows(named=True):
        sooner = row["safe_index"] is not None and row["safe_checkpoint"] != row["last_checkpoint"]
        yield of_row(
            "stopping",
            "stop",
            row,
            "safe_share_saved",
            says=("stop_checkpoint", "safe_checkpoint"),
            verdict="too low" if row["too_low"] else "earlier" if sooner else "undecided",
        )
