"""Draw one figure from the tables of a study."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read the figure's tables, draw, write SVG and PNG."""
    from ptft import language
    from ptft.figures import AXES, FIGURES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, choices=sorted(FIGURES))
    parser.add_argument("--tables-dir", required=True, type=Path, help="folder of NAME.parquet")
    parser.add_argument("--titles", type=Path, help="names as people write them, JSON file")
    parser.add_argument("--language", default="en", choices=language.languages())
    parser.add_argument("--axis", default="index", choices=AXES, help="of the checkpoints")
    parser.add_argument("--arms", type=Path, help="arms.parquet, for which settings are drawn")
    parser.add_argument("--overlay", help="name of a study that is laid over the figure")
    parser.add_argument("--overlay-dir", type=Path, help="folder of its NAME.parquet")
    parser.add_argument("--svg", required=True, type=Path)
    parser.add_argument("--png", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.figures import Overlay, draw
    from ptft.figures.style import save
    from ptft.files.slice_files import read_slice

    def read(folder: Path, names: Sequence[str]) -> dict[str, pl.DataFrame]:
        return {name: pl.read_parquet(folder / f"{name}.parquet") for name in names}

    spec = FIGURES[args.figure]
    overlay = None
    if args.overlay and spec.overlaid:
        file = args.overlay_dir / "arms.parquet"
        other = pl.read_parquet(file) if file.exists() else None
        overlay = Overlay(args.overlay, read(args.overlay_dir, [spec.overlaid]), other)
    arms = pl.read_parquet(args.arms) if args.arms else None
    titles = read_slice(args.titles, dict[str, dict[str, str]]) if args.titles else {}
    language.use(args.language, titles)
    tables = read(args.tables_dir, spec.tables)
    figure = draw(args.figure, tables, args.axis, overlay, arms)
    save(figure, args.svg, args.png)


if __name__ == "__main__":
    run_program(main)
