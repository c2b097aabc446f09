"""Show how far a study has come: checkpoints x arms, and the log of each failure."""

from ptft.runtime.programs import run_program
from ptft.study.programs import REFUSED, named_study, study_parser
from ptft.tools.status import Progress, failures, status_table, summary


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if something has failed."""
    args = study_parser(__doc__).parse_args(argv)
    grid = named_study(args.configfile)
    if grid is None:
        return REFUSED
    progress = Progress(grid, args.directory)
    jobs = list(progress.jobs())
    print(status_table(grid, jobs))
    print(summary(jobs))
    failed = failures(progress, jobs)
    print("\n".join(failed), end="\n" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    run_program(main)
