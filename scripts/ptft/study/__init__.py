"""A study: its types, how it is read, the grid it spans."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ptft.errors import StudyError
from ptft.study.grid import BASE, Arm, Cell, Grid
from ptft.study.load import load

__all__ = ["BASE", "Arm", "Cell", "Grid", "StudyError", "read_study"]


def read_study(config: Mapping, files: Sequence[Path], library: Path) -> Grid:
    """Check a study's config and expand its grid; see :func:`ptft.study.load.load`.

    Raises:
        StudyError: anything is wrong with the study or with what it names.
    """
    return Grid(load(config, files, library))
