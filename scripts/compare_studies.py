"""Put the tables of finished studies side by side: NAME.parquet, .csv and .html for every table."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read, compare, write."""
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--studies", nargs="+", required=True, type=Path, help="their folders of results"
    )
    parser.add_argument("--tables", nargs="+", required=True, help="that all of them have")
    parser.add_argument("--language", default="en", choices=languages(), help="of the pages")
    parser.add_argument("--output-dir", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.analysis.studies import differences, joined, study_curves
    from ptft.analysis.tables import about_table
    from ptft.language.translation import translator
    from ptft.report.table_page import write_table

    def read(folder: Path) -> dict[str, pl.DataFrame]:
        files = {
            name: folder / "tables" / f"{name}.parquet" for name in ["cells", "arms", *args.tables]
        }
        return {name: pl.read_parquet(file) for name, file in files.items() if file.exists()}

    studies = {folder.name: read(folder) for folder in args.studies}
    curves = study_curves(studies)
    found = {
        "compared": (curves, study_curves.__doc__),
        "differences": (differences(curves), differences.__doc__),
        **{name: (joined(name, studies), about_table(name)) for name in args.tables},
    }
    for name, (table, about) in found.items():
        file = args.output_dir / f"{name}.parquet"
        write_table(table, file, about or "", translator(args.language), args.language)


if __name__ == "__main__":
    run_program(main)
