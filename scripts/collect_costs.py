"""Sum up what the jobs of a study cost, by stage and arm."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read the files, write a CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmarks", required=True, type=Path, help="folder of benchmark files")
    parser.add_argument("--records", required=True, type=Path, help="folder of jobs' records")
    parser.add_argument("--output", required=True, type=Path, help="costs.csv")
    args = parser.parse_args(argv)

    from ptft.analysis.costs import read_costs
    from ptft.analysis.csv_tables import write_csv

    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_csv(read_costs(args.benchmarks, args.records), args.output)


if __name__ == "__main__":
    run_program(main)
