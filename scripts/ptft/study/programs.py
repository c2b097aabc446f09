"""What programs for people have in common that are called with a study's file."""

import argparse
import sys
from pathlib import Path

from ptft.errors import read_mapping, require_readable
from ptft.study import StudyError, read_study
from ptft.study.grid import Grid

LIBRARY = Path(__file__).resolve().parents[3] / "config"
REFUSED = 2
"""exit status where the study is no study"""


def study_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows the study's file and where it was run."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--configfile", type=Path, default=LIBRARY / "pocket.yaml", help="the study's file"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="where the study was run (default: here)"
    )
    return parser


def named_study(file: Path) -> Grid | None:
    """The study of a file; None, and why is said, if it is refused."""
    try:
        require_readable([file])
        return read_study(read_mapping(file), [file], LIBRARY)
    except (OSError, StudyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return None
