"""Phrases in the language of the study, and names as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptft.language.translation import Translate

METRICS = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "acc_norm": "accuracy (by length)",
    "rougeL": "ROUGE-L",
    "exact_match": "exact match",
}


@dataclass(frozen=True)
class Words:
    """Called with an English phrase, it is a ``Translate``.

    Attributes:
        translate: an English phrase of the code into the language.
        titles: `datasets`, `families` and `tasks` -> name -> title (``ptft.study.load.titles``).
    """

    translate: Translate = str
    titles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __call__(self, phrase: str) -> str:
        """The phrase in the language."""
        return self.translate(phrase)

    def dataset(self, name: str) -> str:
        """`MNLI (matched)`; a name without a title stays as it is."""
        return self.titles.get("datasets", {}).get(name, name)

    def task(self, name: str) -> str:
        """`MNLI`; a name without a title stays as it is."""
        return self.titles.get("tasks", {}).get(name) or self.dataset(name)

    def family(self, name: str) -> str:
        """Its title, in the language where the translation has it; else its name in words."""
        title = self.titles.get("families", {}).get(name, name.replace("_", " "))
        return self._if_translated(title)

    def metric(self, name: str) -> str:
        """`ROUGE-L`; a metric of someone's own keeps its name."""
        return self._if_translated(METRICS.get(name, name))

    def _if_translated(self, phrase: str) -> str:
        try:
            return self.translate(phrase)
        except ValueError:  # a name from a study's files
            return phrase


def short_number(value: float) -> str:
    """1000 -> 1k, 75_497_472_000 -> 75B, 3_095_396_352_000 -> 3.1T."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return _short(value / size) + letter
    return f"{value:g}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"
