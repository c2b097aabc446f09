"""Look up a checkpoint or a data set's split on the Hub and pin its commit and files."""

import argparse
import logging
import sys
from pathlib import Path

from ptft.errors import StudyError
from ptft.files.slice_files import read_slice
from ptft.hub.client import HubError
from ptft.hub.resolve import Reference, resolve
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, resolve, write the pin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--references", type=Path, required=True, help="what each pin stands for, JSON file"
    )
    parser.add_argument("--output", type=Path, required=True, help="the pin, one of them")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        references = read_slice(args.references, dict[str, Reference])
        if str(args.output) not in references:
            raise HubError(f"{args.references} has no {args.output}")
        resolve(references[str(args.output)]).write(args.output)
    except (HubError, StudyError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_program(main)
