"""Make tables of the analyses from the cells of a study."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, analyse, write NAME.parquet, .csv and .html for every table."""
    from ptft.analysis.tables import TABLES
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", required=True, type=Path, help="cells.parquet")
    parser.add_argument(
        "--replicates",
        type=Path,
        help="their paired bootstrap means; without, cells count as "
        "independent and normal with their standard error",
    )
    parser.add_argument("--arms", type=Path, help="arms.parquet, for what validation chooses")
    parser.add_argument(
        "--settings", type=Path, help="analysis settings, JSON file; without, the defaults"
    )
    parser.add_argument(
        "--tables", nargs="+", choices=sorted(TABLES), default=list(TABLES), help="default: all"
    )
    parser.add_argument("--language", default="en", choices=languages(), help="of the pages")
    parser.add_argument("--output-dir", required=True, type=Path)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    import polars as pl

    from ptft.analysis.scores import Scores
    from ptft.analysis.settings import Settings
    from ptft.analysis.tables import about_table, make_table
    from ptft.analysis.tuned_models import with_chosen
    from ptft.files.slice_files import read_slice
    from ptft.language.translation import translator
    from ptft.report.table_page import write_table

    translate = translator(args.language)
    settings = read_slice(args.settings, Settings) if args.settings else Settings()
    replicates = pl.scan_parquet(args.replicates) if args.replicates else None
    scores = Scores.build(pl.read_parquet(args.cells), replicates)
    if args.arms:
        scores = with_chosen(scores, pl.read_parquet(args.arms))
    for name in args.tables:
        table = make_table(name, scores, settings)
        file = args.output_dir / f"{name}.parquet"
        write_table(table, file, about_table(name), translate, args.language)
        logging.info("%s: %d rows", name, len(table))


if __name__ == "__main__":
    run_program(main)
