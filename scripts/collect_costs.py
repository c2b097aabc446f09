"""Sum up what the jobs of a study cost, by stage and arm."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(benchmarks: Path, records: Path, output: Path) -> None:
    """Sum up what the jobs of a study cost, by stage and arm.

    Args:
        benchmarks: folder of benchmark files
        records: folder of jobs' records
        output: costs.csv
    """
    from ptft.analysis.costs import read_costs
    from ptft.analysis.csv_tables import write_csv

    output.parent.mkdir(parents=True, exist_ok=True)
    write_csv(read_costs(benchmarks, records), output)


if __name__ == "__main__":
    raise SystemExit(main())
