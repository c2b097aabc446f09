"""Look up a checkpoint or a data set's split on the Hub and pin its commit and files."""

import argparse
import json
import logging
import sys
from pathlib import Path

from ptft.hub.client import HubError
from ptft.hub.resolve import resolve_checkpoint, resolve_split
from ptft.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, resolve, write the pin."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=json.loads, help="the study's slice, JSON")
    what.add_argument("--split", type=json.loads, help="the study's slice, JSON")
    parser.add_argument("--output", type=Path, required=True, help="the pin, JSON")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        pin = (
            resolve_checkpoint(args.checkpoint) if args.checkpoint else resolve_split(**args.split)
        )
    except HubError as error:
        sys.exit(str(error))
    pin.write(args.output)


if __name__ == "__main__":
    run_program(main)
