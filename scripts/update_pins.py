"""Look up pinned checkpoints and data sets again; rewrite the pins of those that moved."""

import argparse
import logging
import sys
from pathlib import Path

from ptft.errors import StudyError
from ptft.files.slice_files import read_slice
from ptft.hub.client import HubError
from ptft.hub.pins import Pin
from ptft.hub.resolve import Reference, resolve
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, resolve every pin again, write and name those that changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--references", type=Path, required=True, help="what each pin stands for, JSON file"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        for path, reference in read_slice(args.references, dict[Path, Reference]).items():
            update(path, reference)
    except (HubError, StudyError) as error:
        sys.exit(f"error: {error}")


def update(path: Path, reference: Reference) -> None:
    """Resolve a pin again; write and name it if it has moved."""
    pin = resolve(reference)
    before = Pin.read(path) if path.exists() else None
    if pin != before:
        path.parent.mkdir(parents=True, exist_ok=True)
        pin.write(path)
        print(f"{path}: {before.commit if before else 'new'} -> {pin.commit}")


if __name__ == "__main__":
    run_program(main)
