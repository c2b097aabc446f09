"""The page of a study: one self-contained HTML file from its findings, tables and figures.

It is made of what is there: a study in progress has fewer chapters, not other ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from ptft.analysis.tuned_models import arms as about_arms
from ptft.analysis.tuned_models import shown
from ptft.audit.tables import ABOUT
from ptft.figures import FIGURES
from ptft.paths import replacing
from ptft.report import rendering
from ptft.report.rendering import bar, decimal, percent, points
from ptft.report.rows import ROWS, Warnings, table_of

label, dataset = language.label, language.dataset
PAGES = {"examples": "Single examples", "comparison": "Compare any two models"}
"""kind of page beside the report -> its link"""
BESIDE = ("arms", "audit_splits", "audit_prompts", "self_text")
"""tables of a study that no analysis makes"""
NOTED = {"notes": findings_of_study.read_notes, "updates": findings_of_study.read_updates}
"""tables of what jobs noted -> what tells of their columns"""


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
    Question("added", "What does fine-tuning add?", ("gain_by_group",),
             ("gains", "trainings", "group_gains", "gain_trends", "paper_groups",
              "random_effects")),
    Question("latent", "Is it there before it shows?", ("base_vs_tuned",), ("latent", "gains")),
    Question("forgotten", "What does fine-tuning forget?",
             ("forgetting", "cross_evaluation", "along_finetuning"),
             ("forgetting", "transfer", "gains", "along_finetuning", "random_effects"), "percent"),
    Question("texts", "Does generic text become harder?", ("generic_text",), ("generic_text",),
             "bits"),
    Question("spared", "Which method keeps most?", ("remedies", "tradeoff"),
             ("equal_gain", "remedy_trends", "tradeoff", "exchange"), "percent"),
    Question("formats", "Do prompt formats matter?", ("formats",), ("formats", "format_trends")),
    Question("stopping", "When could pre-training have stopped?", (), ("stopping",), "share"),
    Question("overtraining", "Can pre-training go on for too long?", ("overtraining",),
             ("overtraining", "along_pretraining", "noise_sensitivity")),
)  # fmt: skip


ALONG = ("gain_by_group", "forgetting", "generic_text", "formats", "overtraining")
"""figures of curves along pre-training: of a single checkpoint, a table shows more"""
ALONE = {"taught": "What does the base model know?"}
"""question -> its title in a study of one checkpoint"""
FOLDED = ("no_line", "opposite_signs", "confounded")
"""kinds of findings that are told among the numbers, not beside the answer"""
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
        beside: pages in the folder of the report, to be linked: examples, comparison.
        scored: folder of scored models' records; None where nothing is scored.
        updates: folder of METHOD.json, how updates are computed on a GPU.
    """

    study: Path
    tables: Path
    figures: Path
    records: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    scored: Path | None = None
    updates: Path | None = None


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
    tables = read_tables(files.tables) | {
        "notes": findings_of_study.read_notes(files.scored),
        "updates": findings_of_study.read_updates(files.updates),
    }
    trained = findings_of_study.read_trained(*files.records)
    found = study_findings(resolved, tables, trained, files.tables)
    said = [f if rendering.has_sentence(f) else None for f in found]
    table = findings_table(found, [None if f is None else rendering.sentence(f) for f in said])
    write_table(table, files.tables / "findings.parquet")
    page = study_page(resolved, tables | {"findings": table}, found, files, drawn, progress)
    with replacing(output) as draft:
        draft.write_text(page, encoding="utf-8")


def read_tables(folder: Path) -> dict[str, pl.DataFrame]:
    """The tables that are there, and `costs`."""
    names = ["cells", *TABLES, *BESIDE]
    made = {name: folder / f"{name}.parquet" for name in names}
    tables = {name: pl.read_parquet(path) for name, path in made.items() if path.exists()}
    costs = folder / "costs.csv"
    if costs.exists():
        told = pl.read_csv(costs, infer_schema=False)  # an archive may lack a column
        there = (name if name in told.columns else pl.lit(None).alias(name) for name in COSTS)
        tables["costs"] = told.select(there).cast(COSTS)
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
        *findings_on_scores(told, settings),
        *findings_of_changes.findings_on_changes(told, settings),
        *findings_of_study.learned(tables),
        *findings_of_study.doubts(told),
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
    warnings = Warnings(tables.get("suspicious"), tables.get("arms"))
    sections = [
        _section(question, by[question.name], files.figures, drawn, tables, alone, warnings)
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
        progress=None if progress is None else _progress(progress),
        sections=sections,
        cards=[_card(section) for section in sections],
        doubts=by.get("doubts", []),
        more_figures=[
            _figure(name, files.figures, tables) for name in drawn if name not in used
        ] if by.keys() & {"added", "latent"} else [],
        beside={PAGES[page.stem]: page.name for page in files.beside},
        splits=_splits(tables.get("audit_splits")),
        written=rendering.written_texts(tables.get("self_text")),
        pins=_pins(resolved),
        released_files=[*study.get("published", {}).get("tables", {}).items()],
        **{name: [*map(rendering.sentence, by.get(name, []))] for name in LISTS},
        costs=costs_table(tables.get("costs")),
        plainly=_scored_plainly(tables["notes"]),
        updates=_updates(tables["updates"]),
        released="published" in study,
        level=f"{100 * Settings(**study.get('analysis', {})).level:g}",
        tables={name: _about(name) for name in kept},
        packed=rendering.packed_tables(kept),
    )  # fmt: skip


LISTS = ("checks", "provenance", "deviations")
"""chapters of sentences alone"""


def _pins(resolved: Mapping) -> list[tuple[str, str, str, str]]:
    """Fetched folders, with repository, revision and commit."""
    return [
        (path.removesuffix(".pin.json"), pin["repository"], pin["revision"], pin["commit"])
        for path, pin in resolved.get("fetched", {}).items()
    ]


def _without_nothing(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables that a reader can open, without empty ones and empty columns."""
    kept = {
        name: without_empty(tables[name])
        for name in ("findings", *TABLES, *BESIDE, *NOTED)
        if name in tables and len(tables[name])
    }
    found = kept["findings"]
    kept["findings"] = found.drop(name for name in found.columns if found[name].is_null().all())
    return kept


def _about(name: str) -> str:
    """Meaning of a table's columns."""
    if name in TABLES or name in ABOUT:
        return ABOUT.get(name) or about_table(name)
    made = {"arms": about_arms, "findings": findings_table, **NOTED}.get(name)
    return getdoc(made) or "" if made else ""


def _section(
    question: Question,
    found: Sequence[Finding],
    figures: Path,
    drawn: Sequence[str],
    tables: Mapping[str, pl.DataFrame],
    alone: bool,
    warnings: Warnings,
) -> dict[str, Any]:
    first, *others = (finding for finding in found if rendering.has_sentence(finding))
    # Behind the answer comes what failed trainings do to it, or else what else is found.
    others.sort(key=lambda other: (not other.kind.startswith("learned_"), other.kind in FOLDED))
    seen = [first, *(other for other in others[:1] if other.kind not in FOLDED)]
    rows: dict[str, list[Finding]] = {}
    for finding in found:
        if finding.kind in ROWS:
            rows.setdefault(finding.kind, []).append(finding)
    return {
        "name": question.name,
        "title": label(ALONE.get(question.name, question.title) if alone else question.title),
        "unit": question.unit,
        "headline": first,
        "said": [*map(rendering.sentence, seen)],
        "notes": [rendering.sentence(other) for other in others if other not in seen],
        "figures": [
            _figure(name, figures, tables)
            for name in (INSTEAD.get(question.name) if alone else None) or question.figures
            if name in drawn
        ],
        "tables": [table_of(kind, some, warnings) for kind, some in rows.items()],
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


def _scored_plainly(notes: pl.DataFrame) -> list[list[str]]:
    """Why models were scored by plain transformers, how many models, how many scores."""
    plain = notes.filter(pl.col("scored_plainly").is_not_null())
    models = pl.struct("checkpoint", "arm").n_unique()
    counts = plain.group_by("scored_plainly", maintain_order=True).agg(models, pl.len())
    return [[why, str(models), str(scores)] for why, models, scores in counts.iter_rows()]


def _updates(updates: pl.DataFrame) -> list[list[str]]:
    """Of each method the ways that were tried, the chosen one marked."""
    return [
        [
            row["method"],
            row["way"] + label(" (chosen)") * row["chosen"],
            decimal(row["updates_per_second"], 2),
            decimal(row["difference"], 4),
            row["dropped"] or "–",
        ]
        for row in updates.iter_rows(named=True)
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
        "heads": [(label(head), at > 1) for at, head in enumerate(heads)],
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
