"""A study: its types, how it is read, the grid it spans."""

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ptft.errors import (
    ConfigFiles,
    StudyError,
    exit_with_message,
    read_mapping,
    require_readable,
)
from ptft.study.checks import check
from ptft.study.finished import FinishedStudy, read_finished
from ptft.study.grid import BASE, Arm, Cell, Grid
from ptft.study.load import LIBRARY, load, require_own_results

__all__ = [
    "BASE",
    "Arm",
    "Cell",
    "FinishedStudy",
    "Grid",
    "StudyError",
    "named_study",
    "open_study",
    "read_study",
]


def open_study(config: Mapping, configfiles: Sequence[str | Path]) -> Grid | FinishedStudy:
    """The study that Snakemake was called with; one that is wrong ends the process.

    Its message says file, line, key, what was found and what was expected, and is printed alone:
    of an exception in a Snakefile Snakemake prints its own place and its traceback as well.

    Args:
        config: Snakemake's ``config``, what the command line gives included.
        configfiles: files that it was read from.
    """
    with exit_with_message():
        _require_own_library(Path(inspect.stack(context=0)[1].filename))
    files = ConfigFiles((Path(os.path.relpath(file)) for file in configfiles), config)
    library = Path(os.path.relpath(LIBRARY))
    with exit_with_message():
        if "published" in config:
            study: Grid | FinishedStudy = read_finished(config, files, library)
        else:
            study = read_study(config, files, library)
        require_own_results(study.results, files)
    return study


def _require_own_library(snakefile: Path) -> None:
    """Refuse to run the workflow of one clone with the library of another.

    Raises:
        StudyError: naming both; or the folder has a name that Snakemake can't have.
    """
    if {"{", "}"} & set(str(snakefile.parent.resolve())):
        raise StudyError(
            f"{snakefile.parent.resolve()}: Snakemake takes braces in a workflow's folder for "
            "wildcards; rename the folder"
        )
    own = snakefile.parent / "scripts/ptft"
    if own.is_dir() and not own.samefile(Path(__file__).parents[1]):
        raise StudyError(
            f"{snakefile} was called with the library of {LIBRARY.parent}: activate the "
            f"environment of {snakefile.parent.resolve()} (`make install`), or call "
            f"`PYTHONPATH={snakefile.parent / 'scripts'} snakemake …`"
        )


def read_study(config: Mapping, files: Sequence[Path], library: Path = LIBRARY) -> Grid:
    """Check a study's config and expand its grid; see :func:`ptft.study.load.load`.

    Raises:
        StudyError: anything is wrong with the study or with what it names.
    """
    grid = Grid(load(config, files, library))
    check(grid)
    return grid


def named_study(file: Path) -> Grid:
    """The study of a file, for programs that people call.

    Raises:
        StudyError: the file can't be read or is no study.
    """
    try:
        require_readable([file])
        return read_study(read_mapping(file), [file])
    except OSError as error:
        raise StudyError(str(error)) from None
