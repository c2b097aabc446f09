"""The answers of a study, in a few lines for a terminal."""

from __future__ import annotations

import csv
from pathlib import Path

from ptft.paths import Results

LINES = 5
QUESTIONS = ("taught", "added", "latent", "forgotten", "spared", "texts", "formats", "stopping")
"""whose first sentence is told, in this order"""


def outcome(results: Results) -> list[str]:
    """The page's first answers, a sentence or two each; none without a page."""
    findings = Path(results.table("findings", "csv"))
    if not findings.exists():
        return []
    first: dict[str, str] = {}
    with findings.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["sentence"]:
                first.setdefault(row["question"], row["sentence"])
    return [first[question] for question in QUESTIONS if question in first][:LINES]
