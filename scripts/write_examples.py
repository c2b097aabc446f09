"""Write the page of single examples: learned, forgotten, changed by format or remedy."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read cells and prepared splits, write the page."""
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", required=True, type=Path, help="cells.parquet")
    parser.add_argument("--arms", required=True, type=Path, help="arms.parquet")
    parser.add_argument("--plan", required=True, type=Path, help="what is scored, JSON file")
    parser.add_argument("--settings", required=True, type=Path, help="of the analyses, JSON file")
    parser.add_argument("--titles", required=True, type=Path, help="names as people write them")
    parser.add_argument("--evaluations", required=True, type=Path, help="folder of the evaluations")
    parser.add_argument("--data", required=True, type=Path, help="folder of prepared datasets")
    parser.add_argument("--seed", required=True, type=int, help="of the draws")
    parser.add_argument("--language", default="en", choices=languages())
    parser.add_argument("--output", required=True, type=Path, help="the page, HTML")
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.analysis.examples import cells_reader, pick_examples
    from ptft.analysis.settings import Settings
    from ptft.evaluation.cells import EvaluationPlan, cells_of_plan
    from ptft.files.slice_files import read_slice
    from ptft.language.translation import translator
    from ptft.language.words import Words
    from ptft.report.examples import examples_data
    from ptft.report.examples_page import examples_page

    asked = cells_of_plan(read_slice(args.plan, EvaluationPlan))
    labels = {cell.dataset: cell.labels for cell in asked}
    cells = pl.read_parquet(args.cells)
    picked = pick_examples(
        cells,
        pl.read_parquet(args.arms),
        read_slice(args.settings, Settings),
        cells_reader(cells, args.evaluations, labels),
        args.seed,
    )
    words = Words(translator(args.language), read_slice(args.titles, dict[str, dict[str, str]]))
    data = examples_data(picked, asked, args.data, words)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    page = examples_page(data, args.seed, words, args.language)
    args.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
