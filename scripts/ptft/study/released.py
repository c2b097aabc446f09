"""The types of a study whose scores were computed elsewhere: released tables, read as cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ptft.errors import StudyError, checked, locate, require_keys_once
from ptft.study.families import Kind, Title
from ptft.study.hypothesis import Hypothesis
from ptft.study.schema import AnalysisSettings, Report
from ptft.study.settings import StrictSettings
from ptft.study.types import ONCE, Name, Part, Strict

Share = Annotated[float, Field(ge=0, le=1)]


class ReleasedDataset(Strict):
    """A dataset of a released table."""

    name: Part | None = None
    """its name here, if not the one in the table"""
    title: Title | None = None
    """name in figures and report, if no family of config/ has one"""
    family: Part
    """family that it belongs to"""
    kind: Kind
    """how it was scored"""
    metric: Part | None = None
    """main metric, if not its kind's"""
    chance: Share | None = None
    """score of guessing"""
    n: Annotated[int, Field(ge=1)] | None = None
    """number of examples, for standard errors that the table lacks"""


class ReleasedTask(Strict):
    """A fine-tuning task of the released models."""

    family: Part
    """family of its training data"""
    lr: float
    """models with another learning rate are left out, and listed"""
    in_domain: Annotated[list[Part], *ONCE]
    """the task's own test sets"""


class Released(Strict):
    """Where the tables are and what their names mean."""

    model: Name
    """name of the model in tables and figures"""
    root: str
    """folder of the tables, or http(s) address to which a table's name is added"""
    tokens_per_step: Annotated[int, Field(ge=1)]
    """tokens of one optimizer step of pre-training"""
    main_step: Annotated[int, Field(ge=1)] | None = None
    """optimizer step of `main`, the end of pre-training; default: unknown"""
    tables: Annotated[dict[str, str], Field(min_length=1)]
    """file name -> SHA-256 of its bytes"""
    ignored_models: dict[str, str] = {}
    """model id -> why it is left out"""
    tasks: dict[Part, ReleasedTask]
    """task as named in the tables -> what it is"""
    kinds: dict[Kind, Part]
    """kind -> its main metric"""
    datasets: dict[str, dict[Part, ReleasedDataset]]
    """table -> dataset as named in it -> what it is"""


class PublishedStudy(Strict):
    """A file of config/ with `published:`: no grid, scores that others released."""

    study: Name
    """name of the study and of its folder in results/"""
    description: str = ""
    """description in words"""
    hypothesis: Hypothesis | None = None
    """expected result, and the table row that decides it"""
    published: Released
    """the released tables"""
    analysis: StrictSettings[AnalysisSettings] = AnalysisSettings()
    """settings of the analyses"""
    report: Report = Report()
    """how figures and report look"""


def read_published_study(config: Mapping, files: Sequence[Path]) -> PublishedStudy:
    """Check the config of a published study.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    require_keys_once(files)
    return checked(PublishedStudy, dict(config), files)


def released_titles(study: PublishedStudy) -> dict[str, str]:
    """Dataset -> its title, for those that have one."""
    return {
        dataset.name or name: dataset.title
        for datasets in study.published.datasets.values()
        for name, dataset in datasets.items()
        if dataset.title
    }


def released_tables(study: PublishedStudy, files: Sequence[Path]) -> list[str]:
    """Files of the released tables; none where they are read from an address.

    Raises:
        StudyError: a table is not in the folder, naming file, line and where it was looked for.
    """
    root = study.published.root
    if root.startswith(("http://", "https://")):
        return []
    tables = [Path(root, name) for name in study.published.tables]
    for table in tables:
        if not table.is_file():
            raise StudyError(
                f"{locate(('published', 'root'), files)}: published.root = {root!r}: no "
                f"{table.name} in {table.parent.absolute()}; a path counts from the folder that "
                "snakemake is called in (the clone, for the tables that come with the workflow)"
            )
    return [str(table) for table in tables]
