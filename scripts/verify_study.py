"""Verify hashes of what was fetched, weights, data and cells; records; nothing foreign.

One line a finding: the file, what is wrong, the way out. Nothing is changed. Ends with status 1
if anything is found.

Args:
    configfile: the study's file
    directory: where the study was run (default: here)
"""

from pathlib import Path

from ptft.runtime.programs import program
from ptft.study import named_study
from ptft.study.load import POCKET


@program
def main(configfile: Path = POCKET, directory: Path = Path()) -> int:
    from ptft.tools.verify import Verification

    grid = named_study(configfile)
    found = 0
    for finding in Verification(grid, directory).findings():
        print(finding, flush=True)
        found += 1
    print(f"{grid.name}: {found or 'no'} finding{'' if found == 1 else 's'}")
    return 1 if found else 0
