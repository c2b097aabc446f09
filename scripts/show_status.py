"""Show how far a study has come; ends with status 1 if something has failed.

Args:
    configfile: the study's file
    directory: where the study was run (default: here)
"""

from pathlib import Path

from ptft.runtime.programs import program
from ptft.study import named_study
from ptft.study.load import POCKET
from ptft.tools.status import Progress, failures, status_table, summary


@program
def main(configfile: Path = POCKET, directory: Path = Path()) -> int:
    grid = named_study(configfile)
    progress = Progress(grid, directory)
    jobs = list(progress.jobs())
    print(status_table(grid, jobs))
    print(summary(jobs))
    failed = failures(progress, jobs)
    print("\n".join(failed), end="\n" if failed else "")
    return 1 if failed else 0
