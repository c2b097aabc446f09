"""Draw one figure of a comparison of studies."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read the tables, draw, write SVG and PNG."""
    from ptft import language

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compared", required=True, type=Path, help="compared.parquet")
    parser.add_argument("--differences", required=True, type=Path, help="differences.parquet")
    parser.add_argument("--quantity", required=True)
    parser.add_argument("--titles", type=Path, help="names as people write them, JSON file")
    parser.add_argument("--language", default="en", choices=language.languages())
    parser.add_argument("--svg", required=True, type=Path)
    parser.add_argument("--png", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.figures.studies import draw_studies
    from ptft.figures.style import save
    from ptft.files.slice_files import read_slice

    titles = read_slice(args.titles, dict[str, dict[str, str]]) if args.titles else {}
    language.use(args.language, titles)
    tables = (pl.read_parquet(args.compared), pl.read_parquet(args.differences))
    save(draw_studies(*tables, args.quantity), args.svg, args.png)


if __name__ == "__main__":
    run_program(main)
