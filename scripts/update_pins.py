"""Look up pinned checkpoints and data sets again; rewrite the pins of those that moved."""

import argparse
import json
import logging
import sys
from pathlib import Path

from ptft.hub.client import HubError
from ptft.hub.pins import Pin
from ptft.hub.resolve import resolve_checkpoint, resolve_split
from ptft.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, resolve every pin again, write and name those that changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pins", type=json.loads, required=True, help="pin -> [--checkpoint or --split, slice]"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    for path, (kind, what) in args.pins.items():
        reference = json.loads(what)
        try:
            pin = (
                resolve_checkpoint(reference)
                if kind == "--checkpoint"
                else resolve_split(**reference)
            )
        except HubError as error:
            sys.exit(str(error))
        before = Pin.read(Path(path)) if Path(path).exists() else None
        if pin != before:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            pin.write(Path(path))
            print(f"{path}: {before.commit if before else 'new'} -> {pin.commit}")


if __name__ == "__main__":
    run_program(main)
