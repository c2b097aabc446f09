"""Write the page on which any two models are compared, from the cells of a study."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, compare, write HTML."""
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", required=True, type=Path, help="cells.parquet")
    parser.add_argument("--replicates", required=True, type=Path, help="their paired draws")
    parser.add_argument("--evaluations", required=True, type=Path, help="folder of cells' files")
    parser.add_argument("--suspicious", required=True, type=Path, help="suspicious.parquet")
    parser.add_argument("--arms", type=Path, help="arms.parquet, for what validation chooses")
    parser.add_argument("--settings", required=True, type=Path, help="of the analysis, JSON file")
    parser.add_argument("--titles", required=True, type=Path, help="names people write, JSON file")
    parser.add_argument("--language", default="en", choices=languages())
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.analysis.model_pairs import model_pairs, paired_wins
    from ptft.analysis.scores import Scores
    from ptft.analysis.settings import Settings
    from ptft.analysis.tables.learning import hidden_labels
    from ptft.analysis.tuned_models import with_chosen
    from ptft.files.slice_files import read_slice
    from ptft.language.translation import translator
    from ptft.language.words import Words
    from ptft.report.comparison_page import comparison_page

    settings = read_slice(args.settings, Settings)
    words = Words(translator(args.language), read_slice(args.titles, dict[str, dict[str, str]]))
    cells = pl.read_parquet(args.cells)
    scores = Scores.build(cells, pl.scan_parquet(args.replicates))
    arms = pl.read_parquet(args.arms) if args.arms else None
    if arms is not None:
        scores = with_chosen(scores, arms)
    hidden = hidden_labels(pl.read_parquet(args.suspicious))
    found = model_pairs(scores, settings)
    found = replace(found, pairs=paired_wins(found, cells, args.evaluations, arms))
    page = comparison_page(found, hidden, settings.level, words, args.language)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
