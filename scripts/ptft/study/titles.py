"""Names as people write them, for figures and report: a slice that decides no result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ptft.study.families import Family
from ptft.study.load import read_families


def titles(families: Mapping[str, Family]) -> dict[str, dict[str, str]]:
    """`datasets`, `families` and `tasks` -> name -> title; a name without one is left out.

    A task without a title has that of the dataset it is trained on.
    """
    found: dict[str, dict[str, str]] = {"datasets": {}, "families": {}, "tasks": {}}
    for family_name, family in families.items():
        datasets = {name: dataset.title for name, dataset in family.datasets.items()}
        tasks = {name: task.title or datasets[task.dataset] for name, task in family.tasks.items()}
        for kind, named in (
            ("datasets", datasets),
            ("families", {family_name: family.title}),
            ("tasks", tasks),
        ):
            found[kind] |= {name: title for name, title in named.items() if title}
    return found


def library_titles(library: Path) -> dict[str, dict[str, str]]:
    """The titles of every family of a config folder, for a study that names no family files.

    Raises:
        StudyError: a family's file is no family.
    """
    return titles(read_families([library])[0])
