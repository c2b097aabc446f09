"""Write the report's front page from the tables of a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read, write reStructuredText."""
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, type=Path, help="the resolved study")
    parser.add_argument("--cells", required=True, type=Path, help="cells.parquet")
    parser.add_argument(
        "--tables", required=True, type=Path, help="folder of NAME.parquet, missing.csv, costs.csv"
    )
    parser.add_argument(
        "--models", required=True, type=Path, help="folder of tuned models, for their records"
    )
    parser.add_argument("--records", type=Path, help="the same of models that were deleted")
    parser.add_argument("--figures", type=Path, help="folder of NAME.svg, shown in the page")
    parser.add_argument("--shown", nargs="+", help="figures of the report; default: all")
    parser.add_argument("--titles", type=Path, help="names as people write them, JSON file")
    parser.add_argument("--examples", default="", help="name of the page of examples, if any")
    parser.add_argument("--language", default="en", choices=languages())
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args(argv)

    from ptft.figures import FIGURES, LINKED
    from ptft.files.slice_files import read_slice
    from ptft.language.translation import translator
    from ptft.language.words import Words
    from ptft.report.rst import without_templates
    from ptft.report.study_page import StudyFiles, study_page

    titles = read_slice(args.titles, dict[str, dict[str, str]]) if args.titles else {}
    words = Words(translator(args.language), titles)
    files = StudyFiles(
        args.study,
        args.cells,
        args.tables,
        args.models,
        args.records,
        args.figures,
        examples=args.examples,
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    linked = {f"{name}.svg": LINKED[f"{name}.svg"] for name in args.shown or FIGURES}
    args.output.write_text(without_templates(study_page(files, linked, words)), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
