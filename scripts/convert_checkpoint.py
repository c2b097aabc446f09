"""Convert a native OLMo checkpoint (config.yaml, model.pt) to the Hub's layout."""

import argparse
import sys
from pathlib import Path

from ptft.hub.client import HubError
from ptft.hub.native import convert
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="native checkpoint folder")
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="model folder with the tokenizer's files"
    )
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")
    args = parser.parse_args(argv)
    try:
        convert(args.source, args.tokenizer, args.output)
    except HubError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_program(main)
