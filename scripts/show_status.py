"""Show how far a study has come: checkpoints x arms, and the log of each failure."""

import argparse
import sys
from pathlib import Path

from ptft.files.yaml_files import read_mapping, require_readable
from ptft.planning.progress import Progress
from ptft.planning.status import failures, status_table, summary
from ptft.runtime.programs import run_program
from ptft.study import StudyError, read_study

LIBRARY = Path(__file__).resolve().parents[1] / "config"


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if something has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configfile", type=Path, default=LIBRARY / "pocket.yaml", help="the study's file"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="where the study was run (default: here)"
    )
    args = parser.parse_args(argv)
    try:
        require_readable([args.configfile])
        grid = read_study(read_mapping(args.configfile), [args.configfile], LIBRARY)
    except (OSError, StudyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    progress = Progress(grid, args.directory)
    jobs = list(progress.jobs())
    print(status_table(grid, jobs))
    print(summary(jobs))
    failed = failures(progress, jobs)
    print("\n".join(failed), end="\n" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    run_program(main)
