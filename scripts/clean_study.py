"""Say what of a study may be deleted, and how much room that makes; delete it only if told.

What a finished study needs is not among it. Say which kinds with `--only`; without, all.
"""

import contextlib
from collections.abc import Sequence

from ptft.runtime.locks import lock_study
from ptft.runtime.programs import run_program
from ptft.study.programs import REFUSED, named_study, study_parser
from ptft.tools.clean import REASONS, Deletable, Kind, delete


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = study_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=REASONS, default=list(REASONS))
    parser.add_argument("--delete", action="store_true", help="delete what is listed")
    args = parser.parse_args(argv)
    grid = named_study(args.configfile)
    if grid is None:
        return REFUSED
    study = Deletable(grid, args.directory)
    with contextlib.ExitStack() as locks:
        if args.delete:
            # No job may be at work on the study, nor on one that shares what was fetched.
            roots = {args.directory / study.results.root}
            if "fetched" in args.only:
                found = args.directory.glob("results/*/state/main.lock")
                roots |= {lock.parents[1] for lock in found}
            for root in roots:
                locks.enter_context(lock_study(root))
        kinds = [kind for kind in study.kinds() if kind.name in args.only]
        print("\n".join(listed(kinds)) or f"{grid.name}: nothing to delete")
        if args.delete:
            delete(kinds)
            print("deleted")
    return 0


def listed(kinds: Sequence[Kind]) -> list[str]:
    """Two lines a kind, and how much it is in all."""
    lines = []
    for kind in kinds:
        freed = f"{kind.freed / 2**30:>9.3f} GiB"
        lines.append(f"{kind.name:<10} {len(kind.places):>7,} {freed}  {REASONS[kind.name]}")
        lines.append(f"           {kind.places[0]}{' …' if len(kind.places) > 1 else ''}")
    total = sum(kind.freed for kind in kinds) / 2**30
    return [*lines, f"in all {total:.3f} GiB; `--delete` deletes it"] if kinds else []


if __name__ == "__main__":
    run_program(main)
