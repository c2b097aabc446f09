"""Show a study in progress: tables, figures and page of the scores that are there.

It may be called while Snakemake works on the study, and writes `results/STUDY/preview` alone.
"""

import argparse
import logging
import sys
from pathlib import Path

from ptft.files.yaml_files import read_mapping, require_readable
from ptft.runtime.locks import exclusive
from ptft.runtime.programs import run_program
from ptft.study import StudyError, read_study

LIBRARY = Path(__file__).resolve().parents[1] / "config"


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if nothing is there yet, 2 if the study is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configfile", type=Path, default=LIBRARY / "pocket.yaml", help="the study's file"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="where the study is run (default: here)"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        require_readable([args.configfile])
        grid = read_study(read_mapping(args.configfile), [args.configfile], LIBRARY)
    except (OSError, StudyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    from ptft.planning.preview import NothingYetError, Preview

    preview = Preview(grid, args.directory)
    try:
        with exclusive(preview.output / "preview"):
            there, every = preview.make()
    except NothingYetError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{there:,} of {every:,} cells: {preview.page}")
    return 0


if __name__ == "__main__":
    run_program(main)
