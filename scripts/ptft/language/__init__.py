"""The language of a study's figures and pages, and names as people write them.

A program calls :func:`use` once; figures and pages then ask for labels, a word or a few (heads,
axes, legends). Whole sentences are not labels: they are in the templates of each language
(``ptft/report/templates``). English is the language of the code; another one has a list of labels
beside this module, `<code>.yaml`, English to translated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
METRICS = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "acc_norm": "accuracy (by length)",
    "rougeL": "ROUGE-L",
    "exact_match": "exact match",
}


@dataclass
class _Used:
    code: str = "en"
    labels: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


_USED = _Used()


def languages() -> list[str]:
    """Codes of the languages that figures and pages can be written in."""
    return ["en", *sorted(path.stem for path in FOLDER.glob("*.yaml"))]


def use(code: str = "en", titles: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Say everything from now on in a language.

    Args:
        code: `en`, `ja`.
        titles: `datasets`, `families` and `tasks` -> name -> title (``ptft.study.load.titles``).

    Raises:
        ValueError: there is no such language.
    """
    if code not in languages():
        raise ValueError(f"report language {code!r}, expected one of {languages()}")
    labels = {}
    if code != "en":
        import yaml

        # libyaml's loader, where PyYAML has it, is eight times as fast.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        labels = yaml.load((FOLDER / f"{code}.yaml").read_text(encoding="utf-8"), loader)
    _USED.code, _USED.labels, _USED.titles = code, labels, titles or {}


def use_wording(file: Path | None) -> None:
    """The same by a study's slice, ``{"language": "en", "titles": {…}}``; None for English."""
    wording = json.loads(file.read_text(encoding="utf-8")) if file else {}
    use(wording.get("language", "en"), wording.get("titles"))


def used() -> str:
    """Code of the language in use."""
    return _USED.code


def label(text: str) -> str:
    """An English label of the code in the language in use.

    Raises:
        ValueError: the language has no such label.
    """
    if _USED.code == "en":
        return text
    if text not in _USED.labels:
        file = FOLDER / f"{_USED.code}.yaml"
        raise ValueError(f"{file}: no translation of {text!r}; add it")
    return _USED.labels[text]


def dataset(name: str) -> str:
    """`MNLI (matched)`; a name without a title stays as it is."""
    return _USED.titles.get("datasets", {}).get(name, name)


def task(name: str) -> str:
    """`MNLI`; a name without a title stays as it is."""
    return _USED.titles.get("tasks", {}).get(name) or dataset(name)


def family(name: str) -> str:
    """Its title, in the language where that has it; else its name in words."""
    return if_known(_USED.titles.get("families", {}).get(name, name.replace("_", " ")))


def metric(name: str) -> str:
    """`ROUGE-L`; a metric of someone's own keeps its name."""
    return if_known(METRICS.get(name, name))


def if_known(text: str) -> str:
    """A label in the language in use; a text of someone's own stays as it is."""
    return _USED.labels.get(text, text)


def short_number(value: float) -> str:
    """1000 -> 1k, 75_497_472_000 -> 75B, 3_095_396_352_000 -> 3.1T."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return _short(value / size) + letter
    return f"{value:g}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"
