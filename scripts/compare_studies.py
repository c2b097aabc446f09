"""Put finished studies side by side: tables, figures and a page; nothing is trained or scored."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="+", help="names of studies that were run in this folder")
    parser.add_argument("-o", "--output", required=True, type=Path, help="folder to write into")
    parser.add_argument("--description", default="", help="of the comparison, for the page")
    parser.add_argument("--language", default="en", help="of figures and pages: en, ja")
    args = parser.parse_args(argv)

    from ptft.tools.compare import compare_studies

    compare_studies(args.studies, args.output, args.description, args.language)


if __name__ == "__main__":
    run_program(main)
