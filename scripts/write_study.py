"""Write the resolved study beside its results: everything that decided them, in one file."""

import argparse
import json
from pathlib import Path

import yaml

from ptft.files.slice_files import read_slice
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, write YAML."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="the study, JSON file")
    parser.add_argument("--pins", type=Path, help="JSON file: list of the pins of what was fetched")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    pins = read_slice(args.pins, list[Path]) if args.pins else []
    fetched = {str(path): json.loads(path.read_text()) for path in pins}
    study = {**read_slice(args.study, dict), **({"fetched": fetched} if fetched else {})}
    text = yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=100)
    args.output.write_text(text)


if __name__ == "__main__":
    run_program(main)
