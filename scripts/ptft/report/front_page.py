"""The report's front page: what was run and what came out, one section per question.

Every number comes from a table; a finding whose table is empty is left out, and the page says so.
The text is reStructuredText, which Snakemake's report renders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ptft.analysis.settings import Settings
from ptft.language.translation import Translate
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
from ptft.report.rst import bullets, plain
from ptft.report.sweep_findings import sweep_findings
from ptft.report.text_findings import generic_text_findings


@dataclass(frozen=True)
class FrontPage:
    """What the front page is written from.

    Attributes:
        title: name of the study.
        description: its own description, one paragraph.
        tables: `cells` and the tables of ``ptft.analysis.tables`` by name.
        settings: of the analyses.
        figures: file name in the report -> title, for the links.
        missing: number of scores the study lacks.
        arms: fine-tuned models and their settings (``ptft.analysis.arms``); None where there is
            no such table.
        costs: hours by stage and arm (``ptft.analysis.costs``); None where they were not measured.
        about: heading -> paragraphs on how the scores came about (``ptft.report.deviations``,
            ``ptft.report.provenance``).
    """

    title: str
    description: str
    tables: Mapping[str, pl.DataFrame]
    settings: Settings
    figures: Mapping[str, str]
    missing: int = 0
    costs: pl.DataFrame | None = None
    arms: pl.DataFrame | None = None
    about: Mapping[str, list[str]] = field(default_factory=dict)


def front_page(page: FrontPage, translate: Translate = str) -> str:
    """The whole page as reStructuredText, in the language of ``say``."""
    conditions = Conditions(page.tables["base_scores"], translate)
    parts = {
        "What was run": [
            *what_was_run(page.tables["cells"], page.missing, translate),
            *([] if page.arms is None else bullets(sweep_findings(page.arms, translate))),
        ],
        "What pre-training teaches by itself": _taught(page, conditions, translate),
        "What only fine-tuning shows": _shown(page, conditions, translate),
        "What fine-tuning forgets": bullets(
            forgetting_findings(page.tables["forgetting"], conditions, page.settings, translate)
        ),
        **_texts(page, translate),
        "Prompt formats": _formats(page, translate),
        "When pre-training could have stopped": _stops(page, conditions, translate),
        "Scores to look at twice": bullets(
            suspicious_findings(page.tables["suspicious"], translate)
        )
        or [translate("None was flagged.")],
        **page.about,
        "What it cost": [] if page.costs is None else costs_table(page.costs, translate),
        "How to read the numbers": [_how_to_read(translate)],
        "Figures": bullets(
            f"{translate(title)}: `{name}`_" for name, title in page.figures.items()
        ),
    }
    sections = [_heading(plain(page.title), "="), plain(page.description)]
    for heading, paragraphs in parts.items():
        filled = [paragraph for paragraph in paragraphs if paragraph]
        sections += [
            _heading(translate(heading), "-"),
            *(filled or [translate("Nothing to say: no scores.")]),
        ]
    return "\n\n".join(sections) + "\n"


def _taught(page: FrontPage, conditions: Conditions, translate: Translate) -> list[str]:
    tables = page.tables
    return group_finding(
        tables["groups"], tables["suspicious"], conditions, page.settings, translate
    )


def _shown(page: FrontPage, conditions: Conditions, translate: Translate) -> list[str]:
    latent, flagged, settings = page.tables["latent"], page.tables["suspicious"], page.settings
    return [
        *bullets(latent_findings(latent, flagged, conditions, settings, translate)),
        out_of_domain_table(latent, translate),
        *bullets(gain_trend_findings(page.tables["gain_trends"], conditions, settings, translate)),
    ]


def _texts(page: FrontPage, translate: Translate) -> dict[str, list[str]]:
    """A section of its own, where generic text was scored."""
    found = generic_text_findings(page.tables["generic_text"], page.settings, translate)
    return {"Loss on generic text": bullets(found)} if found else {}


def _formats(page: FrontPage, translate: Translate) -> list[str]:
    formats, trends = page.tables["formats"], page.tables["format_trends"]
    shots = shots_said(formats.filter(pl.col("method").is_not_null()), translate)
    return [
        *format_findings(formats, translate),
        *bullets(format_trend_findings(trends, shots, page.settings, translate)),
    ]


def _stops(page: FrontPage, conditions: Conditions, translate: Translate) -> list[str]:
    stopping, settings = page.tables["stopping"], page.settings
    table = stopping_table(stopping, translate)
    prediction = page.tables["stopping_prediction"]
    return [
        *([stopping_rule(stopping, conditions, settings, translate), table] if table else []),
        *bullets(prediction_findings(prediction, settings, translate)),
    ]


def _how_to_read(translate: Translate) -> str:
    return translate(
        "Scores lie between 0 and 1. Intervals cover the choice of the test examples, the "
        "same ones for every model, and the training seeds where there are several. With "
        "one seed they are about the models that were tuned, not about the method: "
        "another seed may lie outside. Trends count the checkpoints as a sample, whose "
        "scatter about the line is independent from one to the next; a score that wanders "
        "slowly would pass for a trend, and one run of pre-training does not tell of "
        "another. The choice of datasets is not covered. Comparisons of many datasets are "
        "exploratory."
    )


def _heading(text: str, underline: str) -> str:
    # Wide characters count double in reStructuredText's underlines.
    return f"{text}\n{underline * (2 * len(text))}"
