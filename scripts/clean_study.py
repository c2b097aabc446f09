"""Say what of a study may be deleted, and how much room that makes; delete it only if told."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from ptft.runtime.locks import lock_study
from ptft.runtime.programs import command_line
from ptft.study import named_study
from ptft.study.load import POCKET
from ptft.tools import clean
from ptft.tools.clean import REASONS, Deletable, Kind


@command_line
def main(
    configfile: Path = POCKET,
    directory: Path = Path(),
    only: tuple[str, ...] = tuple(REASONS),
    delete: bool = False,
) -> int:
    """Say what of a study may be deleted, and how much room that makes; delete it only if told.

    What a finished study needs is not among it.

    Args:
        configfile: the study's file
        directory: where the study was run (default: here)
        only: kinds of what may be deleted
        delete: delete what is listed
    """
    grid = named_study(configfile)
    study = Deletable(grid, directory)
    with contextlib.ExitStack() as locks:
        if delete:
            # No job may be at work on the study, nor on one that shares what was fetched.
            roots = {directory / study.results.root}
            if "fetched" in only:
                found = directory.glob("results/*/state/main.lock")
                roots |= {lock.parents[1] for lock in found}
            for root in roots:
                locks.enter_context(lock_study(root))
        kinds = [kind for kind in study.kinds() if kind.name in only]
        print("\n".join(listed(kinds)) or f"{grid.name}: nothing to delete")
        if delete:
            clean.delete(kinds)
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
    raise SystemExit(main())
