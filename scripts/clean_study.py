"""Say what of a study may be deleted, and how much room that makes; delete it only if told.

What a finished study needs is not among it.

Args:
    configfile: the study's file
    directory: where the study was run (default: here)
    only: kinds of what may be deleted
    delete: delete what is listed
"""

import contextlib
from pathlib import Path

from ptft.runtime.locks import lock_study
from ptft.runtime.programs import program
from ptft.study import named_study
from ptft.study.load import POCKET
from ptft.tools import clean


@program
def main(
    configfile: Path = POCKET,
    directory: Path = Path(),
    only: tuple[str, ...] = tuple(clean.REASONS),
    delete: bool = False,
) -> None:
    study = clean.Deletable(named_study(configfile), directory)
    with contextlib.ExitStack() as locks:
        if delete:
            # No job may be at work on the study, nor on one that shares what was fetched.
            found = directory.glob("results/*/state/main.lock") if "fetched" in only else ()
            for root in {directory / study.grid.results.root, *(lock.parents[1] for lock in found)}:
                locks.enter_context(lock_study(root))
        kinds = [kind for kind in study.kinds() if kind.name in only]
        print(*kinds or [f"{study.grid.name}: nothing to delete"], sep="\n")
        if kinds:
            freed = sum(kind.freed for kind in kinds) / 2**30
            print(f"in all {freed:.3f} GiB; `--delete` deletes it")
        if delete:
            clean.delete(kinds)
            print("deleted")
