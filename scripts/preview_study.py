"""Show a study in progress: tables, figures and page of the scores that are there.

It may be called while Snakemake works on the study, and writes results/STUDY/preview alone.
Ends with status 1 if nothing is there yet.

Args:
    configfile: the study's file
    directory: where the study was run (default: here)
"""

from pathlib import Path

from ptft.runtime.locks import exclusive
from ptft.runtime.programs import program
from ptft.study import named_study
from ptft.study.load import POCKET


@program
def main(configfile: Path = POCKET, directory: Path = Path()) -> None:
    from ptft.tools.preview import Preview

    preview = Preview(named_study(configfile), directory)
    with exclusive(preview.output / "preview"):
        there, every = preview.make()
    print(f"{there:,} of {every:,} cells: {preview.page}")
