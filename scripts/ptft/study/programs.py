"""What programs for people have in common that are called with a study's file."""

from pathlib import Path

from ptft.errors import StudyError, read_mapping, require_readable
from ptft.study import read_study
from ptft.study.grid import Grid

LIBRARY = Path(__file__).resolve().parents[3] / "config"
POCKET = LIBRARY / "pocket.yaml"


def named_study(file: Path) -> Grid:
    """The study of a file.

    Raises:
        StudyError: the file can't be read or is no study.
    """
    try:
        require_readable([file])
        return read_study(read_mapping(file), [file], LIBRARY)
    except OSError as error:
        raise StudyError(str(error)) from None
