"""Collect what fine-tuned models were trained with and how their training ended."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read the models' records, write arms.parquet, .csv and .html."""
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", required=True, type=Path, help="slice of the study (checkpoints, arms), JSON"
    )
    parser.add_argument("--models", required=True, type=Path, help="folder of tuned models")
    parser.add_argument("--records", type=Path, help="the same of models that were deleted")
    parser.add_argument("--language", default="en", choices=languages(), help="of the page")
    parser.add_argument("--output-dir", required=True, type=Path)
    args = parser.parse_args(argv)

    from inspect import getdoc

    from ptft.analysis.tuned_models import ArmsSlice, arms
    from ptft.files.slice_files import read_slice
    from ptft.language.translation import translator
    from ptft.report.table_page import write_table

    table = arms(read_slice(args.study, ArmsSlice), args.models, args.records)
    file, about = args.output_dir / "arms.parquet", getdoc(arms) or ""
    write_table(table, file, about, translator(args.language), args.language)


if __name__ == "__main__":
    run_program(main)
