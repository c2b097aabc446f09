"""Fetch the files of a pin from the Hub: continued where they ended, verified, checked."""

import argparse
import logging
import sys
from pathlib import Path

from ptft.audit.checkpoints import refuse_other_architectures
from ptft.audit.training import AuditError
from ptft.errors import StudyError
from ptft.files.slice_files import read_slice
from ptft.hub.check import check_checkpoint
from ptft.hub.client import HubError
from ptft.hub.fetch import check_disk, fetch
from ptft.hub.pins import Pin, TwinsError, pinned_folder, refuse_twins
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, make sure that everything fits, fetch into the pin's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pin", type=Path, required=True, help="what is fetched")
    parser.add_argument(
        "--all-pins", type=Path, help="JSON file: list of the pins of all that the study needs"
    )
    parser.add_argument(
        "--same-weights", nargs="*", default=[], help="checkpoints that may equal another one"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        pins = read_slice(args.all_pins, list[Path]) if args.all_pins else [args.pin]
        check_disk(pins, args.pin.parent)
        models = [path for path in pins if Pin.read(path).kind == "model"]
        refuse_twins(models, args.same_weights)
        pin = Pin.read(args.pin)

        def check(folder: Path) -> None:
            check_checkpoint(folder)
            refuse_other_architectures([*models, folder])

        fetch(pin, pinned_folder(args.pin), check if pin.kind == "model" else None)
    except (AuditError, HubError, StudyError, TwinsError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_program(main)
