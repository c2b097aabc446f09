"""The words of figures and report, in the language of the study.

English is the language of the code; a translation is a YAML file of English sentence to
translated sentence beside this module, `<code>.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent
Translate = Callable[[str], str]


def languages() -> list[str]:
    """Codes of the languages that reports can be written in."""
    return ["en", *sorted(path.stem for path in FOLDER.glob("*.yaml"))]


def translator(language: str = "en") -> Translate:
    """Return the function that says an English phrase in ``language``.

    Raises:
        ValueError: there is no such language, or (when called) no translation of a phrase.
    """
    if language not in languages():
        raise ValueError(f"report language {language!r}, expected one of {languages()}")
    if language == "en":
        return str
    import yaml

    path = FOLDER / f"{language}.yaml"
    # libyaml's loader, where PyYAML has it, is eight times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    phrases = yaml.load(path.read_text(encoding="utf-8"), loader)

    def translate(phrase: str) -> str:
        if phrase not in phrases:
            raise ValueError(f"{path}: no translation of {phrase!r}; add it")
        return phrases[phrase]

    return translate
