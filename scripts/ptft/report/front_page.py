"""The report's front page: what was run and what came out, one section per question.

Every number comes from a table; a finding whose table is empty is left out, and the page says so.
The text is reStructuredText, which Snakemake's report renders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ptft.analysis.settings import Settings
from ptft.language.words import Words
from ptft.report.answers import answers
from ptft.report.conditions import Conditions, shots_said
from ptft.report.cost_table import costs_table
from ptft.report.curve_findings import (
    format_trend_findings,
    gain_trend_findings,
    group_finding,
    latent_findings,
    out_of_domain_table,
)
from ptft.report.findings import (
    forgetting_findings,
    format_findings,
    prediction_findings,
    stopping_rule,
    stopping_table,
    suspicious_findings,
    what_was_run,
)
from ptft.report.remedy_findings import (
    overtraining_findings,
    remedy_findings,
    remedy_table,
)
from ptft.report.rst import boxed, bullets, folded, heading, parted, picture, plain
from ptft.report.sweep_findings import sweep_findings
from ptft.report.text_findings import generic_text_findings

WORDS = Words()
# Heading of a section -> its figure.
SHOWN = {
    "What pre-training teaches by itself": "base_scores",
    "What only fine-tuning shows": "base_vs_tuned",
    "What fine-tuning forgets": "forgetting",
    "What keeps it": "tradeoff",
    "Prompt formats": "formats",
    "When pre-training could have stopped": "stopping",
}
# Paragraphs of a section that are not folded away: a sentence, or a sentence and its table.
OPEN = {
    "What fine-tuning forgets": 2,
    "What keeps it": 2,
    "When pre-training could have stopped": 2,
}


@dataclass(frozen=True)
class FrontPage:
    """Content of the front page.

    Attributes:
        title: name of the study.
        description: of the study, one paragraph.
        tables: `cells` and the tables of ``ptft.analysis.tables`` by name.
        settings: of the analyses.
        figures: file name in the report -> title, for the links.
        pictures: name of a figure -> its SVG, for figures that the page shows.
        hypothesis: what the study expects, and the answer, as paragraphs.
        examples: file name of the page of single examples, for the link.
        missing: number of missing scores.
        arms: fine-tuned models and their settings (``analysis.tuned_models``); None without.
        costs: hours by stage and arm (``ptft.analysis.costs``); None if not measured.
        about: heading -> paragraphs on how the scores were made (``ptft.report.deviations``,
            ``ptft.report.provenance``).
        progress: of an unfinished study (``ptft.report.progress``); empty for a finished one.
    """

    title: str
    description: str
    tables: Mapping[str, pl.DataFrame]
    settings: Settings
    figures: Mapping[str, str]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    hypothesis: list[str] = field(default_factory=list)
    examples: str = ""
    missing: int = 0
    costs: pl.DataFrame | None = None
    arms: pl.DataFrame | None = None
    about: Mapping[str, list[str]] = field(default_factory=dict)
    progress: list[str] = field(default_factory=list)


def front_page(page: FrontPage, words: Words = WORDS) -> str:
    """The whole page as reStructuredText: first the answers, then one section per question."""
    conditions = Conditions(page.tables["base_scores"], words)
    parts = {
        "What was run": [
            *what_was_run(page.tables["cells"], page.missing, words),
            *([] if page.arms is None else bullets(sweep_findings(page.arms, words))),
        ],
        "What pre-training teaches by itself": _taught(page, conditions, words),
        "What only fine-tuning shows": _shown(page, conditions, words),
        "What fine-tuning forgets": forgetting_findings(
            page.tables["forgetting"], conditions, page.settings, words
        ),
        **_texts(page, words),
        **_remedies(page, words),
        "Prompt formats": _formats(page, words),
        "When pre-training could have stopped": _stops(page, conditions, words),
        "More pre-training, worse fine-tuning?": bullets(
            overtraining_findings(
                page.tables["overtraining"],
                page.tables["noise_sensitivity"],
                page.settings,
                words,
            )
        ),
        "Suspicious scores": bullets(suspicious_findings(page.tables["suspicious"], words))
        or [words("None was flagged.")],
        **page.about,
        "What it cost": [] if page.costs is None else costs_table(page.costs, words),
        "How to read the numbers": [_how_to_read(words)],
        "Figures": bullets(
            words("{title}: {page}").format(title=words(title), page=f"`{name}`_")
            for name, title in page.figures.items()
        ),
    }
    sections = [
        heading(plain(page.title), "="),
        *([boxed("progress", page.progress)] if page.progress else []),
        plain(page.description),
        *page.hypothesis,
        boxed("answers", bullets(answers(page.tables, page.settings, words))),
        *_comparison(page, words),
        *_pictures(page, "abstract", words),
        *_examples(page, words),
    ]
    for title, paragraphs in parts.items():
        filled = [paragraph for paragraph in paragraphs if paragraph]
        pictures = _pictures(page, SHOWN.get(title, ""), words)
        if pictures:
            least = OPEN.get(title, 1)
            more = folded(words("Numbers and tables"), filled[least:])
            filled = [*filled[:least], *pictures, *more]
        sections += [
            heading(words(title), "-"),
            *(filled or [words("No findings: there are no scores.")]),
        ]
    return parted("\n\n".join(sections)) + "\n"


def _comparison(page: FrontPage, words: Words) -> list[str]:
    """The link to the page that compares models, if the study is finished."""
    said = words("Any tuned model on any dataset, against its base model or another one: {page}")
    return [] if page.progress else [said.format(page="`comparison.html`_")]


def _pictures(page: FrontPage, name: str, words: Words) -> list[str]:
    """The figure ``name``, if the page shows it."""
    if name not in page.pictures:
        return []
    return [picture(page.pictures[name], words(page.figures[f"{name}.svg"]))]


def _examples(page: FrontPage, words: Words) -> list[str]:
    """The link to the page of single examples, if there is one."""
    if not page.examples:
        return []
    looked = words("Single examples, learned, forgotten or changed, with every answer: {page}.")
    return [looked.format(page=f"`{page.examples}`_")]


def _taught(page: FrontPage, conditions: Conditions, words: Words) -> list[str]:
    tables = page.tables
    return group_finding(tables["groups"], tables["suspicious"], conditions, page.settings, words)


def _shown(page: FrontPage, conditions: Conditions, words: Words) -> list[str]:
    latent, flagged, settings = page.tables["latent"], page.tables["suspicious"], page.settings
    return [
        *latent_findings(latent, flagged, conditions, settings, words),
        out_of_domain_table(latent, words),
        *gain_trend_findings(page.tables["gain_trends"], conditions, settings, words),
    ]


def _texts(page: FrontPage, words: Words) -> dict[str, list[str]]:
    """A section on generic text, if it was scored."""
    found = generic_text_findings(page.tables["generic_text"], page.settings, words)
    return {"Loss on generic text": found} if found else {}


def _remedies(page: FrontPage, words: Words) -> dict[str, list[str]]:
    """A section on remedies, if there is more than full fine-tuning."""
    table, trends = page.tables["equal_gain"], page.tables["remedy_trends"]
    if table.is_empty():
        return {}
    found = remedy_findings(table, trends, page.settings, words)
    return {"What keeps it": [*bullets(found), remedy_table(table, words)]}


def _formats(page: FrontPage, words: Words) -> list[str]:
    formats, trends = page.tables["formats"], page.tables["format_trends"]
    shots = shots_said(formats.filter(pl.col("method").is_not_null()), words)
    return [
        *format_findings(formats, words),
        *format_trend_findings(trends, shots, page.settings, words),
    ]


def _stops(page: FrontPage, conditions: Conditions, words: Words) -> list[str]:
    stopping, settings = page.tables["stopping"], page.settings
    table = stopping_table(stopping, words)
    prediction = page.tables["stopping_prediction"]
    return [
        *([stopping_rule(stopping, conditions, settings, words), table] if table else []),
        *bullets(prediction_findings(prediction, settings, words)),
    ]


def _how_to_read(words: Words) -> str:
    return words(
        "Scores are between 0 and 1. Intervals cover the choice of test examples, which all "
        "models share, and training seeds if there are several. With one seed they are about "
        "these tuned models, not about the method: another seed may be outside. Trend tests "
        "treat checkpoints as a sample with independent scatter about the line; a slowly "
        "wandering score can pass for a trend, and one pre-training run says nothing about "
        "another. The choice of datasets is not covered. Comparisons of many datasets are "
        "exploratory."
    )
