"""The types of a study that is redrawn from an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ptft.errors import StudyError, checked, locate, require_keys_once
from ptft.files.archive import ArchiveError, read_head
from ptft.study.schema import AnalysisSettings, Report
from ptft.study.settings import StrictSettings
from ptft.study.types import Name, Strict


class Archive(Strict):
    """Where the scores are."""

    archive: str
    """file that `snakemake export` wrote"""


class ArchivedStudy(Strict):
    """A study file with `published: {archive: …}`."""

    study: Name
    """name of the study's folder in results/"""
    description: str = ""
    """description in words; default: the archived study's"""
    published: Archive
    """the archive"""
    analysis: StrictSettings[AnalysisSettings] = AnalysisSettings()
    """settings of the analyses; default: those of the archive"""
    report: Report = Report()
    """how figures and report look; default: as in the archive"""


@dataclass(frozen=True)
class Archived:
    """A study and what its archive holds."""

    study: ArchivedStudy
    resolved: dict[str, Any]
    """the archived study, with the choices of this one and `versions` of what computed it"""
    members: dict[str, str]
    """path, as in a study's results -> SHA-256"""


def read_archived_study(config: Mapping, files: Sequence[Path]) -> Archived:
    """Check the config of a study that is redrawn, and read the study that its archive holds.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    require_keys_once(files)
    archive = checked(ArchivedStudy, dict(config), files).published.archive
    try:
        manifest, content = read_head(Path(archive))
    except ArchiveError as error:
        place = locate(("published", "archive"), files)
        raise StudyError(
            f"{place}: published.archive: {error}; a path counts from the folder that snakemake is "
            "called in"
        ) from None
    resolved = yaml.safe_load(content)
    chosen = {
        part: {**resolved["study"].get(part, {}), **config.get(part, {})}
        for part in ("analysis", "report")
    }
    study = checked(ArchivedStudy, {**config, **chosen}, files)
    resolved["study"] |= study.model_dump(mode="json", include={"analysis", "report"})
    if study.description:
        resolved["study"]["description"] = study.description
    resolved["versions"] = manifest.versions
    return Archived(study, resolved, manifest.members)
