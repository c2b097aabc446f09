"""Write the front page of a comparison of studies."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read, write reStructuredText."""
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, type=Path, help="the comparison, JSON file")
    parser.add_argument("--cells", nargs="+", required=True, type=Path, help="of each study")
    parser.add_argument("--tables", required=True, type=Path, help="folder of NAME.parquet")
    parser.add_argument("--figures", required=True, type=Path, help="folder of QUANTITY.svg")
    parser.add_argument("--titles", type=Path, help="names as people write them, JSON file")
    parser.add_argument("--language", default="en", choices=languages())
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.analysis.quantities import QUANTITIES
    from ptft.files.slice_files import read_slice
    from ptft.language.translation import translator
    from ptft.language.words import Words
    from ptft.report.compared_page import compared_page
    from ptft.report.rst import without_templates

    titles = read_slice(args.titles, dict[str, dict[str, str]]) if args.titles else {}
    study = read_slice(args.study, dict)["study"]
    cells = pl.concat([pl.read_parquet(file) for file in args.cells], how="diagonal_relaxed")
    tables = {
        name: pl.read_parquet(args.tables / f"{name}.parquet")
        for name in ("compared", "differences")
    }
    page = compared_page(
        study["study"],
        study["description"],
        {"cells": cells, **tables},
        {name: (args.figures / f"{name}.svg").read_bytes() for name in QUANTITIES},
        Words(translator(args.language), titles),
    )
    args.output.write_text(without_templates(page), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
