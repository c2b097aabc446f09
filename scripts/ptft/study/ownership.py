"""Which file a study's results come from: two studies of one name would mix theirs."""

import os
from collections.abc import Sequence
from pathlib import Path

from ptft.errors import StudyError, locate, read_mapping


def require_own_results(record: Path, study: str, files: Sequence[Path]) -> None:
    """Refuse a study whose results folder another study file of the same name has written.

    A file that was moved, renamed or rewritten owns nothing any more.

    Args:
        record: where :func:`note_owner` has written the file's name, if it has.
        study: name of the study.
        files: the study's files.

    Raises:
        StudyError: naming both files.
    """
    file = _naming_file(files, study)
    owner = Path(record.read_text()) if record.is_file() else None
    if file is None or owner is None or _naming_file([owner], study) is None:
        return
    if not owner.samefile(file):
        raise StudyError(
            f"{locate(('study',), [file])}: study: results of the name {study!r} belong to "
            f"{owner}; rename one of the two studies, or remove that file if this one "
            "takes its place"
        )


def note_owner(record: Path, study: str, files: Sequence[Path]) -> None:
    """Remember which file the results come from, relative to the working directory."""
    file = _naming_file(files, study)
    if file is not None:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(os.path.relpath(file))


def results_elsewhere(results: Path, clone: Path) -> list[str]:
    """A note where a study starts from scratch although the clone holds results of its name."""
    if results.exists() or not (clone / results).exists():
        return []
    return [
        f"{results} is in {clone.resolve()}; this run begins another in {Path.cwd()}, where "
        "snakemake was called"
    ]


def _naming_file(files: Sequence[Path], study: str) -> Path | None:
    """The file that gives the study its name; None where the command line does."""
    for file in reversed(files):
        try:
            if file.is_file() and read_mapping(file).get("study") == study:
                return file
        except StudyError:
            continue
    return None
