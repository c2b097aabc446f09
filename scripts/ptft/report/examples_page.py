"""The page of single examples: escaped cards with filters; it loads nothing."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptft.analysis.examples import (
    DRAWN,
    FORGOTTEN,
    FORMAT,
    GROUPS,
    LARGEST,
    LEARNED,
    MARGIN,
    REMEDY,
)
from ptft.language.words import Words
from ptft.report.embedded_json import packed_data
from ptft.report.web_page import web_page

CARDS_SHOWN = 20
"""shown at first, and added at each request"""


def examples_page(data: Mapping[str, Any], seed: int, words: Words, language: str = "en") -> str:
    """A whole HTML page.

    Args:
        data: ``ptft.report.examples.examples_data``.
        seed: with which the examples were drawn.
        words: the language of the page.
        language: its code.
    """
    said = group_words(words)
    groups = [
        {
            "number": GROUPS.index(name),
            "title": said[name][0],
            "about": said[name][1],
            "count": words("{shown} of {drawn} shown")
            if name == LARGEST
            else words("{shown} of {drawn} shown, drawn from {all}"),
        }
        for name in data["groups"]
    ]
    embedded = {**data, "groups": groups, "words": _words(words), "limit": CARDS_SHOWN}
    selects = "\n".join(
        f'<label>{html.escape(label)}<select id="{name}"></select></label>'
        for name, label in (
            ("task", words("Task")),
            ("checkpoint", words("Checkpoint")),
            ("dataset", words("Dataset")),
        )
    )
    folder = Path(__file__).parent
    style, script = (
        (folder / f"examples.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    )
    body = f"""<details><summary>{words("What is shown")}</summary>
<p>{html.escape(_about(seed, words))}</p></details>
<div class="bar">
{selects}
</div>
<div id="groups" role="group" aria-label="{words("Kind of change")}"></div>
<p id="about"></p>
<p id="count" role="status"></p>
<main id="cards"></main>
<button id="more" type="button" hidden>{words("Show more")}</button>
{packed_data(json.dumps(embedded), script)}"""
    if not data["cards"]:
        body = f"<p>{words('No example changed.')}</p>"
    return web_page(words("Examples"), style, body, language)


def group_words(words: Words) -> dict[str, tuple[str, str]]:
    """Group -> its title and its description."""
    return {
        LEARNED: (
            words("Learned by fine-tuning"),
            words(
                "The base model is wrong, the tuned model is right; for generated text, "
                "ROUGE-L rises by {margin} or more."
            ).format(margin=MARGIN),
        ),
        FORGOTTEN: (
            words("Forgotten in fine-tuning"),
            words(
                "The base model is right, the tuned model is wrong; for generated text, "
                "ROUGE-L falls by {margin} or more."
            ).format(margin=MARGIN),
        ),
        FORMAT: (
            words("Changed by the prompt format"),
            words(
                "The tuned model is right in one format and wrong in another; for generated "
                "text, ROUGE-L differs by {margin} or more."
            ).format(margin=MARGIN),
        ),
        REMEDY: (
            words("Changed by a remedy"),
            words(
                "The base model is right. Only one of full fine-tuning and another method or "
                "setting stays right (for generated text, the other loses {margin} of "
                "ROUGE-L)."
            ).format(margin=MARGIN),
        ),
        LARGEST: (
            words("Largest change"),
            words(
                "From base to tuned model the gold answer's log-probability (for generated "
                "text, the score) changes most."
            ),
        ),
    }


def _about(seed: int, words: Words) -> str:
    return words(
        "Up to {drawn} examples of each kind, task and dataset, drawn at random with seed "
        "{seed}, checkpoints, formats and methods in turn; only the largest changes are not "
        "random. Prompt format and number of shots are those of the other analyses, the model "
        "is that of the first training seed. Percentages are probabilities relative to all "
        "labels or choices; a length-normalized metric may prefer another choice than the "
        "likeliest. log p is the model's log-probability of the gold answer. Long texts are "
        "cut in the middle. Generic text has no answers and is omitted."
    ).format(drawn=DRAWN, seed=seed)


def _words(words: Words) -> dict[str, str]:
    """Texts of the script."""
    return {
        "all": words("all"),
        "base": words("base model"),
        "cut": words("(prompt cut to the model's context)"),
        "gold": words("Gold"),
        "prompt": words("Prompt"),
        "right": words("right"),
        "score": "ROUGE-L",
        "shots": words("Solved examples before it"),
        "tuned": words("tuned on {task}"),
        "wrong": words("wrong"),
    }
