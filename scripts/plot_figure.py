"""Draw one figure from the tables of a study."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read the figure's tables, draw, write SVG and PNG."""
    from ptft.figures import AXES, FIGURES
    from ptft.language import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, choices=sorted(FIGURES))
    parser.add_argument("--tables-dir", required=True, type=Path, help="folder of NAME.parquet")
    parser.add_argument("--language", default="en", choices=languages())
    parser.add_argument("--axis", default="index", choices=AXES, help="of the checkpoints")
    parser.add_argument("--svg", required=True, type=Path)
    parser.add_argument("--png", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.figures import draw
    from ptft.figures.style import save
    from ptft.language import translator

    tables = {
        name: pl.read_parquet(args.tables_dir / f"{name}.parquet")
        for name in FIGURES[args.figure].tables
    }
    figure = draw(args.figure, tables, translator(args.language), args.axis)
    save(figure, args.svg, args.png)


if __name__ == "__main__":
    main()
