"""Verify a study: hashes of what was fetched, weights, data and cells; records; nothing foreign.

One line a finding: the file, what is wrong, the way out. Nothing is changed.
"""

from ptft.runtime.programs import run_program
from ptft.study.programs import REFUSED, named_study, study_parser


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if anything is found."""
    args = study_parser(__doc__).parse_args(argv)
    grid = named_study(args.configfile)
    if grid is None:
        return REFUSED

    from ptft.tools.verify import Verification

    found = 0
    for finding in Verification(grid, args.directory).findings():
        print(finding, flush=True)
        found += 1
    print(f"{grid.name}: {found or 'no'} finding{'' if found == 1 else 's'}")
    return 1 if found else 0


if __name__ == "__main__":
    run_program(main)
