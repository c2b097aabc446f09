"""Show a study in progress: tables, figures and page of the scores that are there.

It may be called while Snakemake works on the study, and writes `results/STUDY/preview` alone.
"""

import logging
import sys

from ptft.runtime.locks import exclusive
from ptft.runtime.programs import run_program
from ptft.study.programs import REFUSED, named_study, study_parser


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if nothing is there yet."""
    args = study_parser(__doc__).parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    grid = named_study(args.configfile)
    if grid is None:
        return REFUSED

    from ptft.tools.preview import NothingYetError, Preview

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
