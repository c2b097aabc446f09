"""Read released result tables into the ``cells`` table of a study."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument(
        "--published", required=True, type=Path, help="`published:` of the study, JSON file"
    )
    parser.add_argument("--output", required=True, type=Path, help="cells.parquet")
    parser.add_argument("--csv", required=True, type=Path, help="cells.csv")
    parser.add_argument("--replicates", required=True, type=Path)
    parser.add_argument("--unknown", required=True, type=Path, help="CSV of rows left out, and why")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from ptft.analysis.csv_tables import write_csv
    from ptft.analysis.released_scores import read_published
    from ptft.files.slice_files import read_slice
    from ptft.study.released import Released

    released = read_slice(args.published, Released).model_dump(mode="json", exclude_none=True)
    published = read_published(args.study, released)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    published.cells.write_parquet(args.output)
    write_csv(published.cells, args.csv)
    published.replicates.write_parquet(args.replicates)
    write_csv(published.unknown, args.unknown)
    models = published.unknown.unique(["table", "model_id", "reason"], keep="first")
    for row in models.sort("table", "row").rows():
        logging.warning("left out: %s row %d: %s on %s: %s", *row)
    logging.info("%d cells", len(published.cells))


if __name__ == "__main__":
    run_program(main)
