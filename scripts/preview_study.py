"""Show a study in progress: tables, figures and page of the scores that are there.

It may be called while Snakemake works on the study, and writes results/STUDY/preview alone.
Ends with status 1 if nothing is there yet.

Args:
    configfile: the study's file
    directory: where the study was run (default: here)
"""

import sys
from pathlib import Path

from ptft.runtime.locks import exclusive
from ptft.runtime.programs import program
from ptft.study import named_study
from ptft.study.load import POCKET


@program
def main(configfile: Path = POCKET, directory: Path = Path()) -> int:
    from ptft.tools.preview import NothingYetError, Preview

    preview = Preview(named_study(configfile), directory)
    try:
        with exclusive(preview.output / "preview"):
            there, every = preview.make()
    except NothingYetError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{there:,} of {every:,} cells: {preview.page}")
    return 0
