"""The page of a study: one self-contained HTML file from its findings, tables and figures.

It is made of what is there: a study in progress has fewer chapters, not other ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ptft import language
from ptft.analysis import findings_of_changes, findings_of_study
from ptft.analysis.cell_scores import KEY_SCHEMA
from ptft.analysis.costs import SCHEMA as COSTS
from ptft.analysis.costs import with_totals
from ptft.analysis.csv_tables import without_empty, write_table
from ptft.analysis.family import with_claims
from ptft.analysis.findings import Finding, findings_on_scores, findings_table
from ptft.analysis.settings import Settings
from ptft.analysis.tables import COMPARING, TABLES, about_table
from ptft.analysis.tables.learning import FLAGS
from ptft.analysis.tuned_models import arms as about_arms
from ptft.analysis.tuned_models import shown
from ptft.audit.tables import ABOUT
from ptft.figures import FIGURES
from ptft.report import rendering
from ptft.report.rendering import arm_name, bar, decimal, interval_text, p_value, percent, points

label, dataset, task = language.label, language.dataset, language.task
PAGES = {"examples": "Single examples", "comparison": "Compare any two models"}
"""kind of page beside the report -> its link"""
BESIDE = ("arms", "audit_splits", "audit_prompts", "self_text")
"""tables of a study that no analysis makes"""


@dataclass(frozen=True)
class Question:
    """A chapter of the page.

    Attributes:
        name: that findings have.
        title: the question.
        figures: the first is shown wide, the others folded.
        tables: with all its numbers.
        unit: of the number on its card: `points`, `score`, `percent`, `bits`.
    """

    name: str
    title: str
    figures: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    unit: str = "points"


QUESTIONS = (
    Question("taught", "What does pre-training teach by itself?", ("base_scores",),
             ("base_scores", "groups")),
    Question("added", "What does fine-tuning add?", ("gain_by_group", "domains"),
             ("gains", "group_gains", "gain_trends", "paper_groups", "domains", "random_effects")),
    Question("latent", "Is it there before it shows?", ("base_vs_tuned",), ("latent", "gains")),
    Question("forgotten", "What does fine-tuning forget?",
             ("forgetting", "cross_evaluation", "transitions"),
             ("forgetting", "cross_evaluation", "transitions", "random_effects"), "percent"),
    Question("texts", "Does generic text become harder?", ("generic_text",), ("generic_text",),
             "bits"),
    Question("spared", "Which method keeps most?", ("remedies", "tradeoff"),
             ("equal_gain", "remedy_trends", "tradeoff"), "percent"),
    Question("formats", "Do prompt formats matter?", ("formats",), ("formats", "format_trends")),
    Question("stopping", "When could pre-training have stopped?", ("stopping",),
             ("stopping", "stopping_prediction"), "share"),
    Question("overtraining", "Can pre-training go on for too long?", ("overtraining",),
             ("overtraining", "along_pretraining", "noise_sensitivity")),
)  # fmt: skip


ALONG = {
    *("gain_by_group", "domains", "forgetting", "generic_text", "formats", "stopping"),
    *("overtraining", "abstract"),
}
"""figures of curves along pre-training: of a single checkpoint, a table shows more"""
ALONE = {"taught": "What does the base model know?"}
"""question -> its title in a study of one checkpoint"""
INSTEAD = {"added": ("base_vs_tuned",)}
"""question -> its figures in a study of one checkpoint"""


@dataclass(frozen=True)
class StudyFiles:
    """Files that a page is made from.

    Attributes:
        study: the resolved study.
        tables: folder of cells.parquet, NAME.parquet and, if made, missing.csv, costs.csv.
        figures: folder of NAME.svg.
        records: folders of tuned models' records, the more recent last.
        beside: kind of page -> name of a file beside the report: `examples`, `comparison`.
    """

    study: Path
    tables: Path
    figures: Path
    records: tuple[Path, ...] = ()
    beside: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Progress:
    """An unfinished study.

    Attributes:
        cells: one row per checkpoint and arm of the study: cells (that have a score), of (cells
            of the study), missing (of - cells).
        made: time, for people.
    """

    cells: pl.DataFrame
    made: str

    @classmethod
    def of(cls, there: Iterable[tuple], missing: pl.DataFrame, made: str) -> Progress:
        """That of a study with these keys of scored cells, and of missing ones as columns."""
        model = ["checkpoint", "arm"]
        keys = pl.DataFrame([*there], schema=KEY_SCHEMA, orient="row").select(model)
        every = pl.concat(
            [keys.with_columns(there=True), missing.select(model).with_columns(there=False)]
        )
        counted = every.group_by(model).agg(
            pl.col("there").sum().cast(pl.Int64).alias("cells"),
            pl.len().cast(pl.Int64).alias("of"),
        )
        cells = counted.with_columns((pl.col("of") - pl.col("cells")).alias("missing")).sort(model)
        return cls(cells, made)


def write_page(
    files: StudyFiles, output: Path, drawn: Sequence[str], progress: Progress | None = None
) -> None:
    """Write the page, and ``findings.csv`` and ``.parquet`` beside the tables.

    Args:
        files: it is made from these.
        output: the HTML file, replaced in one step.
        drawn: names of the study's figures; those without a file are left out.
        progress: of an unfinished study.
    """
    resolved = yaml.safe_load(files.study.read_text(encoding="utf-8"))
    tables = read_tables(files.tables)
    trained = findings_of_study.read_trained(*files.records)
    found = study_findings(resolved, tables, trained, files.tables)
    said = [f if rendering.has_sentence(f) else None for f in found]
    table = findings_table(found, [None if f is None else rendering.sentence(f) for f in said])
    write_table(table, files.tables / "findings.parquet")
    page = study_page(resolved, tables | {"findings": table}, found, files, drawn, progress)
    draft = output.with_suffix(".partial")
    draft.write_text(page, encoding="utf-8")
    draft.replace(output)


def read_tables(folder: Path) -> dict[str, pl.DataFrame]:
    """The tables that are there, and `costs`."""
    names = ["cells", *TABLES, *BESIDE]
    made = {name: folder / f"{name}.parquet" for name in names}
    tables = {name: pl.read_parquet(path) for name, path in made.items() if path.exists()}
    costs = folder / "costs.csv"
    if costs.exists():
        tables["costs"] = pl.read_csv(costs, schema=COSTS)
    return tables


def study_findings(
    resolved: Mapping, tables: Mapping[str, pl.DataFrame], trained: pl.DataFrame, folder: Path
) -> list[Finding]:
    """Everything that the page says, in its order."""
    settings = Settings(**resolved["study"].get("analysis", {}))
    arms, costs = tables.get("arms"), tables.get("costs")
    tables = with_claims(tables)
    told = {
        name: shown(table, arms)
        if name in TABLES and name not in COMPARING and "derived" in table.columns
        else table
        for name, table in tables.items()
    }
    if "generic_text" in tables:  # of every setting
        told["generic_text"] = tables["generic_text"].filter(pl.col("derived").is_null())
    missing = folder / "missing.csv"
    hours = None if costs is None else float(costs["hours"].sum())
    # Released tables have no plan that a score could be missing from.
    gone = len(pl.read_csv(missing)) if missing.exists() else 0
    return [
        findings_of_study.run(tables, gone, hours or None),
        *findings_of_study.sweeps(arms),
        *findings_of_study.hypothesis(resolved["study"].get("hypothesis"), tables),
        *findings_on_scores(told, settings),
        *findings_of_changes.findings_on_changes(told, settings),
        *findings_of_changes.doubts(told),
        *findings_of_study.checked(tables, trained),
        *findings_of_study.provenance(resolved),
        *findings_of_study.deviations(resolved, trained),
    ]


def study_page(
    resolved: Mapping,
    tables: Mapping[str, pl.DataFrame],
    found: Sequence[Finding],
    files: StudyFiles,
    drawn: Sequence[str],
    progress: Progress | None = None,
) -> str:
    """The whole page as HTML."""
    study = resolved["study"]
    by: dict[str, list[Finding]] = {}
    for finding in found:
        by.setdefault(finding.question, []).append(finding)
    alone = len(by["run"][0].more["checkpoints"]) == 1
    drawn = [
        name
        for name in drawn
        if (files.figures / f"{name}.svg").exists()
        and len(tables.get(FIGURES[name].tables[0], ()))
        and not (alone and name in ALONG)
    ]
    sections = [
        _section(question, by[question.name], files.figures, drawn, tables, alone)
        for question in QUESTIONS
        if any(map(rendering.has_sentence, by.get(question.name, [])))
    ]
    used = {figure["name"] for section in sections for figure in section["figures"]}
    kept = _without_nothing(tables)
    return rendering.render(
        "report.jinja",
        study=study["study"],
        description=study.get("description") or "",
        run=by["run"][0],
        notes=by["run"][1:],
        hypothesis=by.get("hypothesis", [None])[0],
        progress=None if progress is None else _progress(progress),
        sections=sections,
        cards=[_card(section) for section in sections],
        doubts=by.get("doubts", []),
        more_figures=[
            _figure(name, files.figures, tables) for name in drawn if name not in used
        ] if by.keys() & {"added", "latent"} else [],
        beside={PAGES[kind]: file for kind, file in (files.beside or {}).items()},
        checks=[*map(rendering.sentence, by.get("checks", []))],
        splits=_splits(tables.get("audit_splits")),
        written=rendering.written_texts(tables.get("self_text")),
        provenance=[*map(rendering.sentence, by.get("provenance", []))],
        pins=[
            (path.removesuffix(".pin.json"), pin["repository"], pin["revision"], pin["commit"])
            for path, pin in resolved.get("fetched", {}).items()
        ],
        released_files=[*study.get("published", {}).get("tables", {}).items()],
        deviations=[*map(rendering.sentence, by.get("deviations", []))],
        costs=costs_table(tables.get("costs")),
        released="published" in study,
        level=f"{100 * Settings(**study.get('analysis', {})).level:g}",
        known_flags=FLAGS,
        tables={name: _about(name) for name in kept},
        packed=rendering.packed_tables(kept),
    )  # fmt: skip


def _without_nothing(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables that a reader can open, without empty ones and empty columns."""
    kept = {
        name: without_empty(tables[name])
        for name in ("findings", *TABLES, *BESIDE)
        if name in tables and len(tables[name])
    }
    found = kept["findings"]
    kept["findings"] = found.drop(name for name in found.columns if found[name].is_null().all())
    return kept


def _about(name: str) -> str:
    """What the columns of a table mean."""
    if name in TABLES or name in ABOUT:
        return ABOUT.get(name) or about_table(name)
    made = {"arms": about_arms, "findings": findings_table}.get(name)
    return getdoc(made) or "" if made else ""


def _section(
    question: Question,
    found: Sequence[Finding],
    figures: Path,
    drawn: Sequence[str],
    tables: Mapping[str, pl.DataFrame],
    alone: bool,
) -> dict[str, Any]:
    said = [finding for finding in found if rendering.has_sentence(finding)]
    rows: dict[str, list[Finding]] = {}
    for finding in found:
        if finding.kind in ROWS:
            rows.setdefault(finding.kind, []).append(finding)
    return {
        "name": question.name,
        "title": label(ALONE.get(question.name, question.title) if alone else question.title),
        "unit": question.unit,
        "headline": said[0],
        "said": [*map(rendering.sentence, said)],
        "figures": [
            _figure(name, figures, tables)
            for name in (INSTEAD.get(question.name) if alone else None) or question.figures
            if name in drawn
        ],
        "tables": [table_of(kind, some) for kind, some in rows.items()],
        "data": [name for name in question.tables if name in tables and len(tables[name])],
    }  # fmt: skip


def _figure(name: str, folder: Path, tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    title = label(FIGURES[name].title)
    svg, asked = rendering.inline_svg(folder / f"{name}.svg", name, title)
    return {
        "name": name,
        "title": title,
        "svg": svg,
        "asked": asked,
        "data": [
            table
            for table in FIGURES[name].tables
            if table in TABLES and table in tables and len(tables[table])
        ],
    }


# Ends of the scale of a card's bar, by unit.
SCALES = {"points": (-1, 1), "score": (0, 1), "percent": (-1, 1), "share": (0, 1)}


def _card(section: Mapping[str, Any]) -> dict[str, Any]:
    """The number of a question, with its interval and its curve along pre-training."""
    finding: Finding = section["headline"]
    unit = "score" if finding.kind == "known" else section["unit"]
    if finding.kind == "forgotten_text":
        unit = "bits"
    if finding.kind == "overtraining" and finding.about.get("measure") == "kept":
        unit = "percent"
    number = low = high = None
    if finding.value is not None:
        sign = unit not in ("score", "share") and finding.kind != "overtraining"
        number, low, high = _numbers(finding, unit, sign)
    ends = SCALES.get(unit) or (-_largest(finding), _largest(finding))
    return {
        **section,
        "unit": unit,
        "number": number,
        "low": low,
        "high": high,
        "bar": bar(finding.value, finding.low, finding.high, *ends),
        "spark": rendering.spark(finding.curve),
    }


def _largest(finding: Finding) -> float:
    ends = (finding.value, finding.low, finding.high)
    return 1.25 * max((abs(end) for end in ends if end is not None), default=1.0) or 1.0


def _numbers(finding: Finding, unit: str, sign: bool) -> tuple[str, str | None, str | None]:
    """Value and the ends of its interval, as texts."""
    value, low, high = finding.value, finding.low, finding.high
    if unit == "bits":
        ends = [None if end is None else decimal(end) for end in (low, high)]
        return decimal(value, 3, True), *ends
    ends = [None if low is None or high is None else points(end, low, high) for end in (low, high)]
    return points(value, low, high, sign), *ends


# Tables of a section: kind of finding -> (head, cell) of each column. A cell is a text, or a dict
# with `text` and a `bar`.
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
        VERDICT, ("share of resamples (%)", _of("support", percent)),
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
    "stop": (
        TASK, DATASET, ARM, ("by the scores", lambda f: f.more["stop_checkpoint"]),
        ("in % of resamples", _of("stop_support", percent)),
        ("with confidence", lambda f: f.more["safe_checkpoint"] or "–"),
        ("tokens saved (%)", lambda f: percent(f.value)), VERDICT,
    ),
    "decline": (
        ("measure", lambda f: label(f.about["measure"])), TASK, ARM,
        ("best at", lambda f: f.about["since"]), ("best", _of("best")), ("last", _of("last")),
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
NUMBERS = {
    *("score", "chance", "constant answer", "first", "last", "first base", "last base", "base"),
    *("tuned", "rise", "gain", "p", "per checkpoint", "first tuned", "last tuned", "before"),
    *("after", "pairs", "best", "lower by", "change, %", "MRC, %", "at a gain of", "kept, %"),
    *("more than full fine-tuning, %", "change, bits per byte", "same token (%)"),
    *("share of resamples (%)", "in % of resamples", "tokens saved (%)"),
}
"""heads of columns of numbers"""


def table_of(kind: str, found: Iterable[Finding]) -> dict[str, Any]:
    """Heads and rows of a kind of findings; columns that hold nothing are left out."""
    rows = [[cell(finding) for _, cell in ROWS[kind]] for finding in found]
    columns = [
        (at, head)
        for at, (head, _) in enumerate(ROWS[kind])
        if any(row[at] not in ("–", "") for row in rows)
    ]
    return {
        "title": label(TITLES[kind]),
        "heads": [(label(head), head in NUMBERS) for _, head in columns],
        "rows": [[row[at] for at, _ in columns] for row in rows],
    }


def _splits(splits: pl.DataFrame | None) -> list[list[str]]:
    """Test splits, and others of which there is something to tell."""
    if splits is None:
        return []
    noted = (pl.col("dropped") != "") | (pl.col("warning") != "")
    told = splits.filter((pl.col("split") == "test") | noted)
    return [
        [
            *(dataset(row["dataset"]), row["split"], str(row["rows"]), str(row["used"])),
            row["dropped"] or "–",
            "–" if row["largest_share"] is None else percent(row["largest_share"]),
            row["warning"] or "–",
        ]
        for row in told.sort("dataset", "split").iter_rows(named=True)
    ]


def costs_table(costs: pl.DataFrame | None) -> dict[str, Any] | None:
    """Hours and memory by stage and arm, with the paper's hours for each stage on GPUs."""
    if costs is None or costs.is_empty():
        return None
    columns = {
        "hours": ("hours", 3), "gpu_hours": ("GPU-hours", 3), "paper_gpu_hours": ("the paper's", 0),
        "peak_gib": ("peak (GiB)", 2), "peak_gpu_gib": ("GPU (GiB)", 2),
    }  # fmt: skip
    if not costs["gpu_hours"].sum():
        # Nor are the hours of a grid on GPUs worth a look beside those of a study on a CPU.
        del columns["gpu_hours"], columns["peak_gpu_gib"], columns["paper_gpu_hours"]
    heads = ["stage", "arm", "jobs", "attempts", *(head for head, _ in columns.values())]
    return {
        "heads": [label(head) for head in heads],
        "rows": [
            [row["stage"], label("all") if row["arm"] == "all" else row["arm"]]
            + [str(row["jobs"]), str(row["attempts"])]
            + [decimal(row[name], places) for name, (_, places) in columns.items()]
            for row in with_totals(costs).iter_rows(named=True)
        ],
        "paper": "paper_gpu_hours" in columns,
    }


def _progress(progress: Progress) -> dict[str, Any]:
    """How much is there, and of which arms some is missing."""
    by_arm = (
        progress.cells.group_by("arm", maintain_order=True)
        .agg(
            (pl.col("missing") == 0).sum().alias("whole"),
            pl.len().alias("models"),
            pl.col("cells", "of", "missing").sum(),
        )
        .filter(pl.col("missing") > 0)
    )
    return {
        "there": int(progress.cells["cells"].sum()),
        "of": int(progress.cells["of"].sum()),
        "made": progress.made,
        "arms": by_arm.rows(named=True),
    }
